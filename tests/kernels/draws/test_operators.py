"""The functions of the definition, taken elsewhere: the same lines, over other operators."""

from types import FunctionType
from typing import Any

import numpy as np

from raylax.kernels.draws import operators
from raylax.kernels.draws.definition import SHARED, key_of, noise, weight
from raylax.kernels.draws.operators import rebound

GIVEN = "where", "maximum", "to_float", "to_int", "to_long", "to_bits", "from_bits"


def test_what_is_taken_elsewhere_comes_to_the_same_over_the_operators_given() -> None:
    """And over these alone: whatever it does passes through them, and through what wraps it."""
    used, wrapped, numbers = set[str](), list[str](), list[float]()

    def noted(name: str) -> Any:
        def operator(*arguments: Any) -> Any:
            used.add(name)
            return getattr(operators, name)(*arguments)

        return operator

    def jit(function: FunctionType) -> FunctionType:
        wrapped.append(function.__name__)
        return function

    def constant(value: float) -> float:
        numbers.append(value)
        return value

    lent = {name: noted(name) for name in GIVEN}
    made = rebound(SHARED, lent, "elsewhere", jit, constant)
    t, tokens = np.array([0, -3.7, -50], np.float32), np.arange(3, dtype=np.uint32)
    first, second = np.uint32(7), np.uint32(9)

    assert made["weight"](t).tolist() == weight(t).tolist()
    assert made["noise"](tokens, first, second).tolist() == noise(tokens, first, second).tolist()
    assert made["key_of"](5, 6, 7) == key_of(5, 6, 7)
    assert used == set(GIVEN)
    assert wrapped == [one.__name__ for one in SHARED]
    assert made["weight"].__module__ == "elsewhere"
    assert 0xFFFFFFFFFFFFFFFF in numbers


def test_shared_functions_name_nothing_but_each_other_numbers_and_operators() -> None:
    """Elsewhere there is no numpy."""
    functions = {one.__name__ for one in SHARED}
    for one in SHARED:
        code, space = one.__code__, one.__globals__
        numbers = {name for name in code.co_names if type(space.get(name)) in (int, float)}

        assert set(code.co_names) <= functions | set(GIVEN) | numbers, one.__name__
