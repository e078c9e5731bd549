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
    found = find_spec("tvm")
    if found is None or found.origin is None:
        raise CompileError("apache-tvm is not installed")
    library = Path(found.origin).parent / "lib" / "libtvm_runtime.so"
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def load_library(path: Path) -> Any:
    """The functions of a linked library, by name. Raises UntrustedPath."""
    check_ours(path)
    load_runtime()
    return tvm_ffi.load_module(str(path))


def as_tensor(array: npt.NDArray[Any]) -> Any:
    """The array's memory, on a cache line, as an argument of compiled functions."""
    return tvm_ffi.from_dlpack(array)
