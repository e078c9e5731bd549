"""What the definition of a draw is written over, for arrays of numpy; others bring their own."""

from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

import numpy as np

where = np.where
maximum = np.maximum


def to_float(x: Any) -> Any:
    """float32, the nearest; ties to even."""
    return x.astype(np.float32)


def to_int(x: Any) -> Any:
    """int32, towards zero."""
    return x.astype(np.int32)


def to_long(x: Any) -> Any:
    """int64, towards zero."""
    return x.astype(np.int64)


def to_bits(x: Any) -> Any:
    """A float32's bits, as int32."""
    return x.view(np.int32)


def from_bits(x: Any) -> Any:
    """The float32 that has these bits."""
    return x.view(np.float32)


def rebound(
    functions: Iterable[Callable[..., Any]],
    operators: Mapping[str, Any],
    module: str,
    jit: Callable[[Any], Any],
    constant: Callable[[float], Any],
) -> dict[str, Any]:
    """The same functions, line for line, over other operators: `jit` makes what calls each other
    of them, and `constant` of the numbers that they name. `module` is theirs from now on."""
    functions = list(functions)
    seen = functions[0].__globals__
    numbers = {name: constant(value) for name, value in seen.items() if type(value) in (int, float)}
    # Triton looks up annotations as well, as numbers.
    space = {"__name__": module, "Any": constant(0), **numbers, **operators}
    for one in functions:
        made = FunctionType(one.__code__, space, one.__name__)
        space[one.__name__] = jit(made)
    return {one.__name__: space[one.__name__] for one in functions}
