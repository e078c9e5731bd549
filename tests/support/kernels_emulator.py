"""Runs what was compiled for aarch64 by qemu, one process a call: any machine can compare bits."""

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

from raylax.kernels.cpu.compile import export

COMPILER, QEMU = "aarch64-linux-gnu-gcc", "qemu-aarch64"
ROOT = "/usr/aarch64-linux-gnu"  # where Debian keeps that architecture's C library
CODES = {"i": 0, "u": 1, "f": 2}  # of DLDataTypeCode, by numpy's kinds


def missing_tools() -> list[str]:
    """What has to be installed before anything can be emulated here."""
    return [tool for tool in (COMPILER, QEMU) if shutil.which(tool) is None]


class Emulator:
    """A C program that loads libraries as TVM's run time would, and a CPU that has everything."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.program, self.libraries = directory, directory / "host", 0
        source, headers = Path(__file__).with_suffix(".c"), tvm_ffi.libinfo.find_include_path()
        flags = ["-O1", "-Wall", "-Werror", "-rdynamic", "-pthread", f"-I{headers}"]
        subprocess.run([COMPILER, *flags, "-o", self.program, source, "-ldl"], check=True)

    def load(self, executable: Any) -> "Library":
        self.libraries += 1
        path = self.directory / f"{self.libraries}.so"
        export(executable, path, COMPILER)
        return Library([QEMU, "-cpu", "max", "-L", ROOT, str(self.program), str(path)])


class Library:
    """Functions by name, called with tensors that they change: as TVM's own library has them."""

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __getitem__(self, name: str) -> Any:
        return partial(self._call, f"__tvm_ffi_{name}")

    def _call(self, symbol: str, *tensors: Any) -> None:
        arrays = [np.from_dlpack(tensor) for tensor in tensors]
        given = b"".join([np.int64(len(arrays)).tobytes(), *map(described, arrays)])
        done = subprocess.run([*self.command, symbol], input=given, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        start = 0
        for array in arrays:
            end = start + array.nbytes
            array[...] = np.frombuffer(done.stdout[start:end], array.dtype).reshape(array.shape)
            start = end


def described(array: npt.NDArray[Any]) -> bytes:
    """What the C program reads for a tensor."""
    code, bits = CODES[array.dtype.kind], array.itemsize * 8
    head = np.array([code, bits, array.ndim, array.nbytes, *array.shape], np.int64)
    return head.tobytes() + array.tobytes()
