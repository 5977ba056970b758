"""Where tests keep their databases: a file system in memory, if there is one with room.

Databases are set up as ever, and every commit asks for the disk and waits for it; it only waits
less, which is a good part of the suite's time. What ends in these tests is processes, and files
outlive those wherever they lie. No test takes the power away, which is what a disk would be for.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4_000_000_000


def memory_folder() -> Path | None:
    """The file system in memory; None where there is none that will do.

    It has to have room, and programs have to run from it, since some tests install the bridge.
    """
    with suppress(OSError):
        roomy = shutil.disk_usage(MEMORY).free > ROOM_BYTES
        if roomy and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
            return MEMORY
    return None
