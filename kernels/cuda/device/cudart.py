"""CUDA's run time by ctypes: each call checked, each failure an error with its words."""

import ctypes
from functools import cache
from typing import Any

from raylax.kernels.cuda.nvidia_library import loaded
from raylax.kernels.errors import CompileError, DeviceError

NAME = "libcudart.so.13"
WHEEL, FILE = "nvidia-cuda-runtime", f"nvidia/cu13/lib/{NAME}"
NOT_READY = 600
NON_BLOCKING, NO_TIMING, RELAXED = 1, 2, 2
"""Of a stream, of an event, of a capture: cudaStreamNonBlocking and so on."""


@cache
def library() -> ctypes.CDLL:
    """The run time that the system has, or else the wheel's. Raises CompileError without one."""
    try:
        found = loaded(NAME, WHEEL, FILE)
    except OSError:
        raise CompileError(f"CUDA needs {WHEEL} here: pip install 'raylax[cuda]'") from None
    found.cudaGetErrorString.restype = ctypes.c_char_p
    return found


def call(name: str, *arguments: Any) -> None:
    """One of its functions. Raises DeviceError."""
    if code := getattr(library(), name)(*arguments):
        raise error(name, code)


def error(name: str, code: int) -> DeviceError:
    """What a function's code means, in CUDA's own words."""
    said = library().cudaGetErrorString(code)
    return DeviceError(f"CUDA: {name}: {said.decode()} ({code})", code)


def standing() -> int:
    """The code that every call gives once the context is gone, which asks nothing of the device; 0
    while it is there. For errors that come without their code."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    return int(library().cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)))


def made(name: str, *arguments: Any) -> ctypes.c_void_p:
    """What a function makes, which it puts where its first argument points. Raises DeviceError."""
    handle = ctypes.c_void_p()
    call(name, ctypes.byref(handle), *arguments)
    return handle
