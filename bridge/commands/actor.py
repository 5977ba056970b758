"""Who runs a command, for the audit line."""

from __future__ import annotations

import getpass
import socket


def actor() -> str:
    """``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
