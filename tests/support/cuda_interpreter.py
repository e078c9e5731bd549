"""GPU kernels on a CPU: Triton's interpreter, put right, over arrays of numpy.

It runs without torch: what a kernel is given are addresses. Its products are those of a chip's
matrix unit (`use`), since its own are BLAS's, whose order of summation depends on the tile. Import
this before any kernel: Triton decides by the environment what `@triton.jit` makes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import numpy.typing as npt
import triton.language as tl
from triton.runtime import interpreter

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cuda.matrix_unit import MatrixUnit
from tests.support import cuda_pace as cuda_pace

Array = npt.NDArray[Any]
TYPES = {
    "uint16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    "float64": "fp64",
    "int8": "i8",
    "int32": "i32",
    "int64": "i64",
}
"""What numpy's types stand for: it has no bf16, of which the bits are kept."""
NUMPY = {"i32": np.int32, "i64": np.int64, "fp32": np.float32}
_unit: MatrixUnit | None = None
_patched: set[Any] = set()
"""Functions into whose language the interpreter has put its builder."""


@contextmanager
def matrix_unit(unit: MatrixUnit | None) -> Iterator[None]:
    """Products are this unit's; None: float32's, which are faster."""
    global _unit
    before, _unit = _unit, unit
    try:
        yield
    finally:
        _unit = before


def launch(kernel: Any, grid: tuple[int, ...], **arguments: Any) -> None:
    """Run a kernel on arrays, in place. Whole numbers are int32, others float32; `constexpr` is
    found by its annotation. Arrays of uint16 hold bf16."""
    constants = {
        name for name, kind in kernel.fn.__annotations__.items() if "constexpr" in str(kind)
    }
    given = {n: a if n in constants else argument(a) for n, a in arguments.items()}
    run(kernel, grid, given)


def argument(value: Any) -> Any:
    """What a kernel sees of an array or a number; None is a null pointer."""
    if value is None:
        return pointer(0, "bf16")
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous, "a device has no strides"
        return pointer(value.ctypes.data, TYPES[value.dtype.name])
    return scalar(value, "i32" if isinstance(value, int) else "fp32")


def pointer(address: int, kind: str) -> Any:
    """An address as a kernel's argument; `kind` as Triton names it, for instance bf16."""
    of = tl.pointer_type(tl.str_to_ty(kind, None))
    return tl.tensor(interpreter.TensorHandle(np.array([address], np.uint64), of), of)


def scalar(value: float, kind: str) -> Any:
    """A number of this type as a kernel's argument."""
    of = tl.str_to_ty(kind, None)
    return tl.tensor(interpreter.TensorHandle(np.array([value], NUMPY[kind]), of), of)


def run(kernel: Any, grid: tuple[int, ...], arguments: dict[str, Any]) -> None:
    """Run every program of a grid, one after the other. A chip does not warn of what is no number:
    of a division by zero in lanes, say, whose result nobody stores."""
    function, builder = kernel.rewrite(), interpreter.interpreter_builder
    x, y, z = (*grid, 1, 1)[:3]
    builder.set_grid_dim(x, y, z)
    patch(function)
    with np.errstate(all="ignore"):
        for i, j, k in np.ndindex(x, y, z):
            builder.set_grid_idx(i, j, k)
            function(**arguments)


def patch(function: Any) -> None:
    """The interpreter would put its builder into a function's language at each call, which takes
    longer than most functions, and out again: once will do, nothing else here speaks it."""
    if function not in _patched:
        _patched.add(function)
        interpreter._patch_lang(function)


def values(handle: Any) -> npt.NDArray[np.float32]:
    """What is in a tensor of the interpreter, as float32."""
    if handle.dtype.scalar == tl.bfloat16:
        return from_bf16(handle.data)
    return np.asarray(handle.data.astype(np.float32))


def binary_op(
    self: Any, lhs: Any, rhs: Any, op: Any, plain: Any = interpreter.InterpreterBuilder.binary_op
) -> Any:
    """The interpreter keeps bf16 as bits, and would add the bits; and it takes a comparison of
    scalars for a number, which is no mask."""
    if lhs.dtype.scalar == tl.bfloat16 and op in (np.add, np.subtract, np.multiply, np.divide):
        return interpreter.TensorHandle(to_bf16(op(values(lhs), values(rhs))), tl.bfloat16)
    out = plain(self, lhs, rhs, op)
    return interpreter.TensorHandle(out.data, tl.int1) if out.data.dtype == bool else out


def cast_impl(
    self: Any, src: Any, dst_type: Any, plain: Any = interpreter.InterpreterBuilder.cast_impl
) -> Any:
    """The interpreter cuts float32 down to bf16; a chip rounds to nearest, ties to even."""
    if src.dtype.scalar == tl.float32 and dst_type.scalar == tl.bfloat16:
        return interpreter.TensorHandle(to_bf16(src.data), tl.bfloat16)
    return plain(self, src, dst_type)


def create_dot(self: Any, a: Any, b: Any, d: Any, *_: Any) -> Any:
    x, y = values(a), values(b)
    out = np.matmul(x, y) + d.data if _unit is None else _unit.dot(x, y, d.data)
    return interpreter.TensorHandle(out.astype(np.float32), d.dtype.scalar)


def call(self: Any, *arguments: Any, **named: Any) -> Any:
    """A kernel calls a function."""
    patch(self.fn)
    return self.rewrite()(*arguments, **named)


interpreter.InterpretedFunction.__call__ = call
interpreter.InterpreterBuilder.binary_op = binary_op
interpreter.InterpreterBuilder.cast_impl = cast_impl
interpreter.InterpreterBuilder.create_dot = create_dot
