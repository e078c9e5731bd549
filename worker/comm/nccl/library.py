"""NCCL by ctypes: the system's library, or the wheel's, and its words when that fails."""

import ctypes
import os
from functools import cache

from raylax.kernels.cuda.nvidia_library import loaded
from raylax.worker.comm.errors import CommError

NAME = "libnccl.so.2"
WHEEL, FILE = "nvidia-nccl-cu13", f"nvidia/nccl/lib/{NAME}"
ON_LOOPBACK = {"NCCL_SOCKET_IFNAME": "lo", "NCCL_RAS_ENABLE": "0"}
"""What NCCL's environment says, where it says nothing else: its sockets ask nobody who he is, so
they are for this machine alone, and the one that tells of its state is not opened."""
SUCCESS, IN_PROGRESS = 0, 7
UINT8 = 1
"""Bytes are bytes: what is not added needs no type."""


class UniqueId(ctypes.Structure):
    """ncclUniqueId: the name of a group that is being made."""

    _fields_ = [("data", ctypes.c_byte * 128)]


class Config(ctypes.Structure):
    """The beginning of ncclConfig_t, as of 2.17: NCCL takes what came later as unset, and what is
    beyond `size`, too."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("magic", ctypes.c_uint),
        ("version", ctypes.c_uint),
        ("blocking", ctypes.c_int),
        ("cga_cluster_size", ctypes.c_int),
    ]


MAGIC, SINCE, UNSET = 0xCAFEBEEF, 21700, -(2**31)


def not_blocking() -> Config:
    """A configuration by which no call waits: every wait is ours, with a deadline."""
    size = ctypes.sizeof(Config)
    return Config(size, MAGIC, SINCE, blocking=0, cga_cluster_size=UNSET)


_pointer, _int, _size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
SIGNATURES: dict[str, list[type]] = {
    "GetVersion": [ctypes.POINTER(_int)],
    "GetUniqueId": [ctypes.POINTER(UniqueId)],
    "CommInitRankConfig": [
        ctypes.POINTER(_pointer), _int, UniqueId, _int, ctypes.POINTER(Config),
    ],
    "CommGetAsyncError": [_pointer, ctypes.POINTER(_int)],
    "CommAbort": [_pointer],
    "AllGather": [_pointer, _pointer, _size, _int, _pointer, _pointer],
}  # fmt: skip
"""Arguments of the functions that we call, by their names without the prefix. The unique id goes by
value."""


@cache
def library() -> ctypes.CDLL:
    """NCCL, loaded once. Raises CommError where it is not installed."""
    for name, value in ON_LOOPBACK.items():
        os.environ.setdefault(name, value)  # before it reads them
    try:
        found = loaded(NAME, WHEEL, FILE)
    except OSError as error:
        raise CommError(f"NCCL cannot be loaded: pip install 'raylax[cuda]' ({error})") from None
    for name, arguments in SIGNATURES.items():
        getattr(found, f"nccl{name}").argtypes = arguments
    found.ncclGetErrorString.restype = found.ncclGetLastError.restype = ctypes.c_char_p
    found.ncclGetLastError.argtypes = [_pointer]
    return found


def call(name: str, *arguments: object) -> int:
    """Call NCCL's function of that name; returns SUCCESS or IN_PROGRESS. Raises CommError with
    NCCL's words."""
    code: int = getattr(library(), f"nccl{name}")(*arguments)
    if code not in (SUCCESS, IN_PROGRESS):
        raise CommError(words(code))
    return code


def words(code: int) -> str:
    """What NCCL says of a code, and of its last error."""
    text, last = library().ncclGetErrorString(code).decode(), library().ncclGetLastError(None)
    return f"NCCL: {text}" + (f": {last.decode().strip()}" if last else "")


def version() -> int:
    """NCCL's version as a number: 2.30.7 is 23007."""
    found = ctypes.c_int()
    call("GetVersion", ctypes.byref(found))
    return found.value
