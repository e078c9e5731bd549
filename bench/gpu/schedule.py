"""The parts of the check in their order, the most decisive first, and the seconds that each has.

The whole has a limit. What a part does not need is there for those after it, and the last one takes
what is left.
"""

from dataclasses import dataclass
from typing import Literal

LIMIT_S, QUICK_LIMIT_S = 460.0, 165.0
"""So that with beginning and ending it is under 8 minutes, and 3."""
SMALL_LIMIT_S = 900.0
"""On a driver that interprets."""


Kind = Literal["decides", "measures", "compares"]
"""Whether the kernels may be used depends on those that decide; what measures them must not fail
either; what others come to does not matter."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A part: `parts/NAME.py`."""

    name: str
    seconds: float
    quick: float
    kind: Kind = "decides"

    def limit(self, quick: bool, small: bool, left: float) -> float:
        """Seconds that it may take, of those that are left to all."""
        own = self.quick if quick else self.seconds
        return max(0.0, min(left, SMALL_LIMIT_S if small else own))


PARTS = (
    Planned("matrix_unit", 30, 15),
    Planned("products", 100, 50),
    Planned("attention", 40, 25),
    Planned("pointwise", 20, 15),
    Planned("sampler", 30, 20),
    Planned("graphs", 15, 10),
    Planned("demo", 40, 25),
    Planned("heads", 15, 10),
    Planned("families", 40, 25),
    Planned("product_times", 60, 20, "measures"),
    Planned("attention_times", 35, 12, "measures"),
    Planned("sampler_times", 12, 5, "measures"),
    Planned("step_times", 110, 45, "measures"),
    Planned("with_torch", 100, 30, "compares"),
    Planned("tile_sweep", 100, 30, "measures"),
)
