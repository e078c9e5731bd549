"""What kernels of norms are given of traits that a model has not."""

from typing import Any

USUAL: dict[str, Any] = {
    "own": 0, "shift": None, "after": None, "after_shift": None, "scale": 1.0,
    "LAYER": False, "SHIFTED": False, "AFTER": False, "SCALED": False,
}  # fmt: skip
