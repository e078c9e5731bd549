"""Which files are opened at all: a checkpoint's are anybody's.

A pipe in a file's place would be waited for, and a device read for ever.
"""

import stat
from pathlib import Path

from raylax.kernels.errors import CheckpointError

KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


def regular_size(path: Path, most: int | None = None) -> int:
    """The bytes of a regular file. Raises CheckpointError for anything else, and for one of more
    than `most`; OSError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise CheckpointError(f"{path}: must be a regular file, found {kind}")
    if most is not None and found.st_size > most:
        raise CheckpointError(f"{path}: may have {most} bytes, found {found.st_size}")
    return found.st_size
