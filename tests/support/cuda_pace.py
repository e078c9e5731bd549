"""Triton's interpreter, twice as fast: types and shapes, which it makes and checks anew at every
operation, are made once; what only leads to an assertion that it leaves out is left out as well.
"""

from functools import cache
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

plain_np_dtype = interpreter._get_np_dtype
plain_block_type = tl.block_type.__init__
np_dtypes: dict[str, np.dtype[Any]] = {}
"""By the names of types."""


def np_dtype(of: Any) -> np.dtype[Any]:
    if (found := np_dtypes.get(of.name)) is None:
        found = np_dtypes[of.name] = plain_np_dtype(of)
    return found


@cache
def block(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """What a type of a block has beside that of its elements, which has this name."""
    made = tl.block_type.__new__(tl.block_type)
    plain_block_type(made, tl.int32, list(shape))
    return {"shape": made.shape, "numel": made.numel, "name": f"<{made.shape}, {name}>"}


def block_type(self: Any, element_ty: Any, shape: Any) -> None:
    sizes = tuple([one.value if isinstance(one, tl.constexpr) else one for one in shape])
    self.__dict__.update(block(element_ty.name, sizes), element_ty=element_ty)


@cache
def extent(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """A tensor's shape and size."""
    return tl.tuple([tl.constexpr(one) for one in shape]), tl.constexpr(int(np.prod(shape)))


def tensor(self: Any, handle: Any, type: Any) -> None:
    self.handle, self.type, self.dtype = handle, type, type.scalar
    self.shape, self.numel = extent(tuple(type.shape.values) if type.is_block() else ())


interpreter._get_np_dtype = np_dtype
tl.block_type.__init__ = block_type
tl.tensor.__init__ = tensor
# Sums of integers are made again in 64 bits, for an assertion that only `debug` makes.
interpreter.interpreter_builder.options = interpreter.InterpreterOptions(sanitize_overflow=False)
