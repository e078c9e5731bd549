"""CUDA source to machine code by NVRTC, from NVIDIA's wheels: no toolkit, and no GPU is needed."""

import ctypes
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from raylax.kernels.cuda.target import GPU
from raylax.kernels.errors import CompileError

COMPILER, RUNTIME, HEADERS = "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cuda-cccl"
FILES = {
    COMPILER: "nvidia/cu13/lib/libnvrtc.so.13",
    RUNTIME: "nvidia/cu13/include",
    HEADERS: "nvidia/cu13/include/cccl",
}
RUNTIME_LIBRARY = "nvidia/cu13/lib/libcudart.so.13"
HOST_HEADERS = ("#include <cuda.h>",)
PREAMBLE = """#include <cuda/std/cstdint>
#include <cuda/std/limits>
#define INFINITY (::cuda::std::numeric_limits<float>::infinity())
"""
"""What nvcc would take from the host's headers. TVM's own source asks for the rest."""


def place(wheel: str, file: str) -> Path:
    """Where a file of one of NVIDIA's wheels is. Raises CompileError where it is not installed."""
    try:
        found = Path(str(distribution(wheel).locate_file(file)))
    except PackageNotFoundError:
        found = Path(file)
    if not found.exists():
        extra = "cuda" if wheel == RUNTIME else "cuda-compile"
        raise CompileError(f"CUDA needs {wheel} here: pip install 'raylax[{extra}]'")
    return found


def wheels() -> dict[str, Path]:
    """Where the parts of the compiler are. Raises CompileError for one that is missing."""
    return {wheel: place(wheel, file) for wheel, file in FILES.items()}


def runtime_library() -> Path:
    """NVIDIA's run time, which TVM's is linked to. Raises CompileError where it is missing."""
    return place(RUNTIME, RUNTIME_LIBRARY)


@cache
def library(path: Path) -> ctypes.CDLL:
    """NVRTC, ready for calls."""
    loaded = ctypes.CDLL(str(path))
    loaded.nvrtcGetErrorString.restype = ctypes.c_char_p
    return loaded


def machine_code(source: str, gpu: GPU) -> bytes:
    """The cubin of a source. Division, roots and exponentials are exact ones. Raises
    CompileError."""
    found = wheels()
    nvrtc, program = library(found.pop(COMPILER)), ctypes.c_void_p()
    lines = (line for line in source.splitlines() if line.strip() not in HOST_HEADERS)
    text = (PREAMBLE + "\n".join(lines)).encode()
    options = [
        f"--gpu-architecture={gpu.name}",
        "--std=c++17",
        "--disable-warnings",
        *(f"--include-path={path}" for path in found.values()),
    ]
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"step.cu", 0, None, None)
    try:
        if code := nvrtc.nvrtcCompileProgram(program, len(options), given):
            said = read(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
            name = nvrtc.nvrtcGetErrorString(code).decode()
            raise CompileError(f"target cuda/{gpu.name}: {name}: {said.decode()[:2000]}")
        return read(program, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def read(program: ctypes.c_void_p, size_of: Callable[..., Any], get: Callable[..., Any]) -> bytes:
    """What NVRTC has made of a program, by its two functions for that."""
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    content = ctypes.create_string_buffer(size.value)
    get(program, content)
    return content.raw
