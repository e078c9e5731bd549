"""Compiled code and its tensors, by TVM's run time alone."""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tvm_ffi

from raylax.kernels.errors import CompileError
from raylax.kernels.ownership import check_ours


@cache
def load_runtime() -> None:
    """What compiled code calls: the thread pool, memory, errors. `import tvm` brings it too."""
    ctypes.CDLL(str(library("")), ctypes.RTLD_GLOBAL)


def library(device: str) -> Path:
    """The file of TVM's run time, of a kind of device where one is named. Raises CompileError."""
    found = find_spec("tvm")
    if found is None or found.origin is None:
        raise CompileError("apache-tvm is not installed")
    kind = f"_{device}" if device else ""
    return Path(found.origin).parent / "lib" / f"libtvm_runtime{kind}.so"


def has_device(device: str) -> bool:
    """Whether TVM, as it is installed here, can speak to a kind of device: by a library of its own,
    or by the run time, if that is loaded."""
    api = tvm_ffi.get_global_func(f"device_api.{device}", allow_missing=True)
    return api is not None or library(device).exists()


def load_library(path: Path) -> Any:
    """The functions of a linked library, by name. Raises UntrustedPath."""
    check_ours(path)
    load_runtime()
    return tvm_ffi.load_module(str(path))


def as_tensor(array: npt.NDArray[Any]) -> Any:
    """The array's memory, on a cache line, as an argument of compiled functions."""
    return tvm_ffi.from_dlpack(array)
