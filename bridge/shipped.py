"""The mapping files that come with the program.

``bridge/shipped_mappings`` is a symbolic link to ``mappings/`` at the top of the checkout, so that
there is one copy of them; a wheel holds the files themselves.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bridge.errors import BridgeError

FOLDER = Path(__file__).parent / "shipped_mappings"


def mapping_files() -> list[Path]:
    """The shipped mapping files, their cases and payloads, as paths relative to ``FOLDER``.

    Errors: ``BridgeError`` where the program was installed without them.
    """
    found = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("payloads/*.*")])
    if not found:
        raise BridgeError(
            f"the shipped mapping files are not in {FOLDER}; install crm-bridge anew."
        )
    return [path.relative_to(FOLDER) for path in found]


def copy_mapping_files(folder: Path) -> list[Path]:
    """Copy every shipped file into a folder, which is made if it is not there; returns the copies.

    Nothing is overwritten, and nothing is copied if anything would be. Errors: ``BridgeError``
    that says what stands in the way.
    """
    files = mapping_files()
    taken = [str(path) for path in files if (folder / path).exists()]
    if taken:
        raise BridgeError(
            f"{folder} already holds {', '.join(taken)}, and nothing is overwritten. "
            "Name another folder, or move these away."
        )
    try:
        for path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(FOLDER / path, folder / path)
    except OSError as error:
        raise BridgeError(
            f"{folder}: the mapping files cannot be copied there ({error})."
        ) from None
    return [folder / path for path in files]
