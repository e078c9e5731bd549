"""What a model is run on is looked at once, when it is loaded."""

from typing import Any

import numpy as np
import pytest

from raylax.kernels.cpu.model import check_arrays
from raylax.kernels.cpu.program import Buffer

TABLE = {"norm": Buffer((2, 64), "float32", "layer")}


def test_arrays_as_the_step_was_compiled_for_are_taken() -> None:
    check_arrays({"norm": np.zeros((2, 64), np.float32)}, TABLE)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 63), np.float32), ((128,), np.float32), ((2, 64), np.int32)]
)
def test_any_other_array_is_named(shape: tuple[int, ...], dtype: Any) -> None:
    """A compiled function would read beyond its end, or other numbers than are meant."""
    with pytest.raises(ValueError, match=r"norm must be float32 \[2, 64\], found .*\["):
        check_arrays({"norm": np.zeros(shape, dtype)}, TABLE)
