"""Tensors and compiled graphs on a device, by TVM's run time alone; on a CPU by the same code."""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

from raylax.kernels.cuda.nvrtc import runtime_library
from raylax.kernels.errors import CompileError
from raylax.kernels.ownership import check_ours
from raylax.kernels.runtime import load_runtime

POOLED = 2  # TVM's allocator that keeps what was freed for the next step
CPU = (1, 0)  # DLPack's device type, and index


@cache
def load_cuda_runtime() -> None:
    """Loads TVM's CUDA run time. Raises CompileError for what it is linked to and is not here."""
    load_runtime()
    found = find_spec("tvm")
    assert found is not None and found.origin is not None
    try:
        ctypes.CDLL(str(runtime_library()), ctypes.RTLD_GLOBAL)
        path = Path(found.origin).parent / "lib" / "libtvm_runtime_cuda.so"
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise CompileError(f"TVM's CUDA run time cannot be loaded: {error}") from None


class Device:
    """Memory for tensors on a device, and the functions of a library that run there."""

    def __init__(self, name: str) -> None:
        """`cpu`, or `cuda:1` as TVM names it. Raises CompileError."""
        load_cuda_runtime() if name.startswith("cuda") else load_runtime()
        self._device = tvm_ffi.device(name)
        function = tvm_ffi.get_global_func
        self._allocate = function("runtime.TVMTensorAllocWithScope")
        self._write = function("runtime.TVMTensorCopyFromBytes")
        self._read = function("runtime.TVMTensorCopyToBytes")
        self._view = function("runtime.TVMTensorCreateView")

    def functions(self, library: Path) -> Any:
        """A library's functions by name. TVM computes shapes on the CPU. Raises UntrustedPath."""
        check_ours(library)
        machine = tvm_ffi.load_module(str(library))["vm_load_executable"]()
        own = (self._device.dlpack_device_type(), self._device.index)
        devices = [own] if own == CPU else [own, CPU]
        machine["vm_initialization"](*(n for device in devices for n in (*device, POOLED)))
        return machine

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """A tensor on the device, with whatever its memory holds."""
        return self._allocate(tvm_ffi.Shape(shape), tvm_ffi.dtype(dtype), self._device, None)

    def put(self, array: npt.NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the device; `dtype` where numpy has no name for it."""
        tensor = self.empty(array.shape, dtype or str(array.dtype))
        self.write(tensor, array)
        return tensor

    def write(self, tensor: Any, array: npt.NDArray[Any]) -> None:
        """The bytes of an array, into a tensor of the same size."""
        whole = np.ascontiguousarray(array)
        self._write(tensor, whole.ctypes.data_as(ctypes.c_void_p), whole.nbytes)

    def read(self, tensor: Any, dtype: str) -> npt.NDArray[Any]:
        """A copy on the host, when everything before it is done."""
        array = np.empty(tuple(tensor.shape), dtype)
        self._read(tensor, array.ctypes.data_as(ctypes.c_void_p), array.nbytes)
        return array

    def part(self, tensor: Any, index: int) -> Any:
        """tensor[index], the same memory."""
        shape = tuple(tensor.shape)[1:]
        size = int(np.prod(shape)) * (tvm_ffi.dtype(str(tensor.dtype)).bits // 8)
        return self._view(tensor, tvm_ffi.Shape(shape), tensor.dtype, index * size)
