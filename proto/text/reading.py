"""Opens a model's files, which are anybody's: regular ones of a bounded size, and nothing else.

A pipe in a file's place would be waited for, and a device read for ever.
"""

import os
import stat
from pathlib import Path

MOST_BYTES = 128 << 20
"""The largest vocabularies take a third of it."""
KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


def is_there(path: Path) -> bool:
    """Whether there is anything of this name, be it a link that leads nowhere."""
    return os.path.lexists(path)


def check_file(path: Path) -> None:
    """Raises ValueError for what is no regular file, or a larger one; OSError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise ValueError(f"{path}: must be a regular file, found {kind}")
    if found.st_size > MOST_BYTES:
        raise ValueError(f"{path}: may have {MOST_BYTES} bytes, found {found.st_size}")


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises ValueError, OSError."""
    check_file(path)
    with path.open("rb") as file:
        return file.read(MOST_BYTES)


def read_text(path: Path) -> str:
    """The whole file, which is UTF-8. Raises ValueError, OSError."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8: {error}") from None
