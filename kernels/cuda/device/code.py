"""Machine code as functions: TVM's CUDA run time loads it and launches it.

A launch goes to TVM's current stream of the calling thread (`Stream.current`). Shared memory above
48 KiB is asked for by TVM when it loads the code.
"""

import ctypes
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import tvm_ffi

from raylax.kernels.cuda.device import cudart
from raylax.kernels.errors import CompileError, DeviceError
from raylax.kernels.runtime import load_runtime

TAGS = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "tirx.use_dyn_shared_memory")
"""What a launch is given after its arguments: the grid, threads, and bytes of shared memory, which
must come last."""
OVERLAPPED = "tirx.use_programtic_dependent_launch"  # TVM spells it so
DTYPES = {"i32": "int32", "i64": "int64", "fp32": "float32"}
Address = int


@cache
def load_cuda_runtime() -> None:
    """TVM's run time for CUDA. Raises CompileError for what it is linked to and is not here."""
    load_runtime()
    cudart.library()
    found = find_spec("tvm")
    assert found is not None and found.origin is not None
    path = Path(found.origin).parent / "lib" / "libtvm_runtime_cuda.so"
    try:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise CompileError(f"TVM's CUDA run time cannot be loaded: {error}") from None


class Facts(Protocol):
    """What has to be known of machine code to launch it."""

    @property
    def symbol(self) -> str:
        """The function in it."""
        ...

    @property
    def types(self) -> tuple[str, ...]:
        """Of all its parameters, as Triton writes them; last two pointers that get null."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters that are given."""
        ...

    @property
    def constants(self) -> dict[str, int | bool]:
        """What it was compiled for."""
        ...

    @property
    def threads(self) -> int: ...

    @property
    def shared(self) -> int:
        """Bytes of dynamic shared memory."""
        ...

    @property
    def overlapped(self) -> bool:
        """Whether it may be started before the one ahead of it has ended: it waits itself."""
        ...


class Launch:
    """A kernel with all that it is given: addresses, numbers, its grid. A call puts it on the
    current stream, which takes the host a few microseconds."""

    def __init__(self, name: str, function: Any, arguments: tuple[Any, ...]) -> None:
        self.name, self._function, self._arguments = name, function, arguments

    def __call__(self) -> None:
        """Raises DeviceError."""
        try:
            self._function(*self._arguments)
        except RuntimeError as error:
            why = f"CUDA: {self.name} could not be launched: {last(error)}"
            raise DeviceError(why, cudart.standing()) from None


class Kernel:
    """One kernel's machine code on a device."""

    def __init__(self, cubin: bytes, facts: Facts) -> None:
        load_cuda_runtime()
        self.facts = facts
        load = tvm_ffi.get_global_func("ffi.Module.create.cuda")
        known = tvm_ffi.get_global_func("runtime.LoadMetaDataFromJSON")(metadata(facts))
        self._module = load(cubin, "cubin", known, {})  # the function is alive as long as this
        self._function = self._module[facts.symbol]
        self._is_pointer = [kind.startswith("*") for kind in facts.types]
        self._hidden = (None,) * (len(facts.types) - len(facts.names))

    def launch(self, grid: tuple[int, ...], *arguments: float | Address) -> Launch:
        """One that is ready to be made; `arguments` in the order of `names`, pointers as addresses.
        Raises TypeError for another number of them."""
        if len(arguments) != len(self.facts.names):
            raise TypeError(f"{self.facts.symbol} takes {', '.join(self.facts.names)}")
        given = [
            ctypes.c_void_p(one) if is_pointer else one  # type: ignore[arg-type]
            for one, is_pointer in zip(arguments, self._is_pointer, strict=False)
        ]
        sizes = (*grid, 1, 1)[:3]
        rest = (*self._hidden, *sizes, self.facts.threads, self.facts.shared)
        return Launch(self.facts.symbol, self._function, (*given, *rest))


def metadata(facts: Facts) -> str:
    """As TVM keeps it beside a module's machine code."""
    types = ["handle" if kind.startswith("*") else DTYPES[kind] for kind in facts.types]
    symbol = facts.symbol
    tags = (OVERLAPPED, *TAGS) if facts.overlapped else TAGS
    info = {"name": symbol, "arg_types": types, "launch_param_tags": tags}
    return json.dumps({"tvm_version": "0.27.0", "func_info": {symbol: info}})


def last(error: BaseException) -> str:
    """The line of TVM's message that says what went wrong."""
    lines = str(error).strip().splitlines()
    return next((line for line in lines if "CUDA" in line), lines[-1]).strip()
