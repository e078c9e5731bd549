"""TVM's part for CUDA, made ready on a machine that may have no GPU and no driver.

TVM embeds machine code when its CUDA run time is loaded, and CUDA source when it is not. That run
time is linked to the driver's library; where there is none, a stand-in takes its place that answers
as a driver without a GPU does.
"""

import ctypes
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import tvm
import tvm_ffi
from tvm.support.cc import get_cc

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.nvrtc import machine_code, runtime_library, wheels
from raylax.kernels.cuda.runtime import load_cuda_runtime
from raylax.kernels.cuda.target import GPU
from raylax.kernels.errors import CompileError

NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
WANTED = (
    "cuInit", "cuDeviceGetName", "cuFuncSetAttribute", "cuGetErrorName", "cuGetErrorString",
    "cuLaunchKernelEx", "cuModuleGetFunction", "cuModuleLoadData", "cuModuleUnload",
    "cuTensorMapEncodeTiled",
)  # fmt: skip
CALLBACK = "tvm_callback_cuda_compile"


@cache
def prepare() -> None:
    """Makes TVM ready for CUDA, once for a process. Raises CompileError for what is missing."""
    wheels()
    runtime_library()
    try:
        ctypes.CDLL(driver.LIBRARY, ctypes.RTLD_GLOBAL)
    except OSError:
        load_stand_in()
    load_cuda_runtime()


def load_stand_in() -> None:
    """Makes and loads a driver without a GPU, which the loader then finds by its name. Raises
    CompileError without a C compiler."""
    if (cc := get_cc()) is None:
        raise CompileError("compiling for CUDA needs a C compiler, and none is on the PATH")
    source = "".join(f"int {name}(void) {{ return {NO_DEVICE}; }}\n" for name in WANTED)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / driver.LIBRARY
        command = [cc, "-shared", "-fPIC", "-xc", "-", f"-Wl,-soname,{driver.LIBRARY}"]
        made = subprocess.run([*command, "-o", path], input=source, text=True, capture_output=True)
        if made.returncode:
            raise CompileError(f"{cc} cannot link a library: {made.stderr.strip()}")
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)


@contextmanager
def machine_code_for(gpu: GPU) -> Iterator[tvm.target.Target]:
    """TVM's target for a chip; what is compiled inside has the chip's machine code in it."""
    prepare()
    before = tvm_ffi.get_global_func(CALLBACK)
    compile_source = lambda source: machine_code(source, gpu)  # noqa: E731
    tvm_ffi.register_global_func(CALLBACK, compile_source, override=True)
    try:
        with (target := target_of(gpu)):
            yield target
    finally:
        tvm_ffi.register_global_func(CALLBACK, before, override=True)


def target_of(gpu: GPU) -> tvm.target.Target:
    """TVM's target for a chip. The host's part is for every CPU of this architecture: the library
    travels."""
    return tvm.target.Target(
        {
            "kind": "cuda",
            "arch": gpu.name,
            "max_threads_per_block": 1024,
            "max_shared_memory_per_block": 48 << 10,
            "thread_warp_size": 32,
            "host": {"kind": "llvm", "mcpu": "generic"},
        }
    )
