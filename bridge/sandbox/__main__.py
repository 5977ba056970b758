"""``python -m bridge.sandbox``."""

import sys

from bridge.sandbox.serve import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
