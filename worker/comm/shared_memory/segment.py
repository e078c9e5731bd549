"""Memory without a name that processes of one user and host share.

The maker holds a descriptor, which others open as `/proc/<pid>/fd/<fd>`. Nothing has to be cleaned
up, whoever is killed: the kernel frees the memory with its last descriptor and mapping. The size of
/dev/shm does not matter.
"""

import mmap
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Self

from raylax.worker.comm.errors import CommError, Unreachable


def look(token: str) -> str:
    """How the kernel shows the descriptor; the file has never been in any directory."""
    return f"/memfd:{name(token)} (deleted)"


def name(token: str) -> str:
    return f"raylax-{token}"


class SharedMemory:
    """A piece of memory: `buffer` is writable, and zeros at first. A context manager.

    Descriptors and processes get the numbers of old ones. So an address, "pid:fd:token", ends with
    what only this memory is called.
    """

    def __init__(self, fd: int, size: int, address: str) -> None:
        """Takes the descriptor over."""
        self.address, self._fd = address, fd
        self.buffer = mmap.mmap(fd, size)

    @classmethod
    def create(cls, size: int) -> Self:
        """New memory of so many bytes, which other processes attach by its `address`."""
        token = secrets.token_hex(8)
        fd = os.memfd_create(name(token))
        os.ftruncate(fd, size)
        return cls(fd, size, f"{os.getpid()}:{fd}:{token}")

    @classmethod
    def attach(cls, address: str, size: int) -> Self:
        """The memory at an address. Raises Unreachable when its maker has gone or withdrew it,
        CommError when it has another size."""
        pid, number, token = address.split(":")
        path = Path(f"/proc/{pid}/fd/{number}")
        try:
            if os.readlink(path) != look(token):
                raise FileNotFoundError(f"{path} is another file")
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unreachable(f"there is no shared memory at {address}: {error}") from error
        if (found := os.fstat(fd).st_size) != size:
            os.close(fd)
            raise CommError(f"the shared memory at {address} has {found} bytes, expected {size}")
        return cls(fd, size, address)

    def withdraw(self) -> None:
        """Let nobody attach any more; who has attached keeps the memory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Give the memory back; where arrays still look at it, it goes with the last of them."""
        self.withdraw()
        with suppress(BufferError):
            self.buffer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
