"""The little of CUDA's driver that waiting for NCCL takes. Run on no GPU so far."""

import ctypes
from functools import cache

from raylax.worker.comm.errors import CommError

NOT_READY = 600


@cache
def driver() -> ctypes.CDLL | None:
    """None where there is no GPU."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def make_current(device: int) -> None:
    """For the calling thread. Where there is no driver, NCCL will say so itself."""
    if (cuda := driver()) is None:
        return
    handle, context = ctypes.c_int(), ctypes.c_void_p()
    check(cuda, cuda.cuInit(0))
    check(cuda, cuda.cuDeviceGet(ctypes.byref(handle), device))
    check(cuda, cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), handle))
    check(cuda, cuda.cuCtxSetCurrent(context))


def is_idle(stream: int) -> bool:
    """Whether everything that was put on the stream is done."""
    cuda = driver()
    assert cuda is not None
    code = cuda.cuStreamQuery(ctypes.c_void_p(stream))
    if code != NOT_READY:
        check(cuda, code)
    return bool(code != NOT_READY)


def check(cuda: ctypes.CDLL, code: int) -> None:
    if code:
        text = ctypes.c_char_p()
        cuda.cuGetErrorString(code, ctypes.byref(text))
        raise CommError(f"CUDA: {(text.value or b'error %d' % code).decode()}")
