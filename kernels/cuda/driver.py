"""NVIDIA's driver by ctypes: which GPUs there are, what is free on them, and whether they are done.

What waits for a stream has run on no GPU so far.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

from raylax.kernels.errors import CompileError

LIBRARY = "libcuda.so.1"
NOT_READY = 600  # CUDA_ERROR_NOT_READY
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
MULTIPROCESSORS = 16  # CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT


@dataclass(frozen=True, slots=True)
class DeviceProperties:
    """One GPU of those that this process may see."""

    index: int
    name: str
    capability: tuple[int, int]


LEAST = 13000
"""CUDA's version, as the driver counts it, that our machine code and CUDA's run time are for."""
LEAST_RELEASE = 580
"""Of NVIDIA's driver, which has that version."""
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
RELEASE = Path("/sys/module/nvidia/version")


@cache
def opened() -> tuple[ctypes.CDLL | None, int]:
    """The driver, None where there is none; and the code that it has begun with."""
    try:
        loaded = ctypes.CDLL(LIBRARY)
    except OSError:
        return None, 0
    return loaded, int(loaded.cuInit(0))


def library() -> ctypes.CDLL | None:
    """The driver, ready for calls; None where there is none, or none that finds a GPU."""
    loaded, code = opened()
    return None if code else loaded


def index_of(device: str) -> int:
    """The number of the GPU that `cuda` or `cuda:i` names."""
    return int(device.partition(":")[2] or 0)


def count() -> int:
    """GPUs that this process may see, 0 without a driver. `CUDA_VISIBLE_DEVICES` chooses."""
    found = ctypes.c_int()
    if (cuda := library()) is not None:
        call(cuda, "cuDeviceGetCount", ctypes.byref(found))
    return found.value


def version() -> int:
    """The version of CUDA that the driver is for: 13000 is 13.0. Raises CompileError without
    one."""
    if (cuda := library()) is None:
        raise CompileError(missing(0))
    found = ctypes.c_int()
    call(cuda, "cuDriverGetVersion", ctypes.byref(found))
    return found.value


def check_version() -> None:
    """Raises CompileError for a driver that is too old for our machine code."""
    if (found := version()) < LEAST:
        raise CompileError(
            f"NVIDIA's driver here is for CUDA {dotted(found)}, and {dotted(LEAST)} is needed: "
            f"install driver {LEAST_RELEASE} or a later one, or serve by the CPU: --device cpu"
        )


def dotted(version: int) -> str:
    """13000 as people write it."""
    return f"{version // 1000}.{version % 1000 // 10}"


def release(file: Path = RELEASE) -> str:
    """The driver's own version, as 580.65.06, or else CUDA's. Raises CompileError without one."""
    try:
        return file.read_text().strip()
    except OSError:
        return f"cuda-{dotted(version())}"


def properties(index: int) -> DeviceProperties:
    """A GPU's name and generation. Raises CompileError when there is no such GPU."""
    cuda, handle = handle_of(index)
    name = ctypes.create_string_buffer(128)
    call(cuda, "cuDeviceGetName", name, len(name), handle)
    capability = attribute(index, MAJOR), attribute(index, MINOR)
    return DeviceProperties(index, name.value.decode(), capability)


def attribute(index: int, number: int) -> int:
    """What the driver says of a GPU. Raises CompileError when there is no such GPU."""
    cuda, handle = handle_of(index)
    value = ctypes.c_int()
    call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), number, handle)
    return value.value


def multiprocessors(index: int) -> int:
    """How many a GPU has; of one generation some have more than others. Raises CompileError when
    there is no such GPU."""
    return attribute(index, MULTIPROCESSORS)


def uuid(index: int) -> str:
    """A GPU's name for ever, as NVML and `nvidia-smi -L` have it. Raises CompileError when there is
    no such GPU."""
    cuda, handle = handle_of(index)
    found = (ctypes.c_ubyte * 16)()
    call(cuda, "cuDeviceGetUuid_v2", found, handle)
    return f"GPU-{UUID(bytes=bytes(found))}"


def memory(index: int) -> tuple[int, int]:
    """Bytes of a GPU that can be had, and all. Raises CompileError when there is no such GPU."""
    cuda, handle = handle_of(index)
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    call(cuda, "cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
    try:
        call(cuda, "cuCtxPushCurrent_v2", context)
        try:
            call(cuda, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        finally:
            call(cuda, "cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
    finally:
        call(cuda, "cuDevicePrimaryCtxRelease_v2", handle)
    return free.value, total.value


def make_current(index: int) -> None:
    """A GPU becomes that of the calling thread, for good. Raises CompileError when there is no such
    GPU."""
    cuda, handle = handle_of(index)
    context = ctypes.c_void_p()
    call(cuda, "cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
    call(cuda, "cuCtxSetCurrent", context)


def is_idle(stream: int) -> bool:
    """Whether everything that was put on the stream is done, of the calling thread's GPU. Raises
    CompileError for what went wrong there."""
    cuda = library()
    assert cuda is not None  # or there would be no stream
    if (code := cuda.cuStreamQuery(ctypes.c_void_p(stream))) != NOT_READY:
        check(cuda, "cuStreamQuery", code)
    return bool(code != NOT_READY)


def handle_of(index: int) -> tuple[ctypes.CDLL, ctypes.c_int]:
    """The driver, and what it calls a GPU. Raises CompileError when there is no such GPU."""
    if (cuda := library()) is None or index >= count():
        raise CompileError(missing(index))
    handle = ctypes.c_int()
    call(cuda, "cuDeviceGet", ctypes.byref(handle), index)
    return cuda, handle


def missing(index: int) -> str:
    """Why there is no GPU of this index."""
    if not (found := count()):
        cuda, code = opened()
        if cuda is not None and code not in (0, NO_DEVICE):
            return f"NVIDIA's driver does not begin: {words(cuda, code)}"
        return f"it needs a GPU and NVIDIA's driver, and {LIBRARY} shows none here"
    return f"the driver shows {found} GPU{'s' * (found > 1)}, counted from 0"


def call(cuda: ctypes.CDLL, name: str, *arguments: object) -> None:
    """One of the driver's functions. Raises CompileError as `check`."""
    check(cuda, name, getattr(cuda, name)(*arguments))


def check(cuda: ctypes.CDLL, name: str, code: int) -> None:
    """Raises CompileError with the driver's words, where a function returned an error's code."""
    if code:
        raise CompileError(f"CUDA: {name}: {words(cuda, code)}")


def words(cuda: ctypes.CDLL, code: int) -> str:
    """The driver's, for an error's code."""
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(code, ctypes.byref(text))
    return (text.value or b"error %d" % code).decode()
