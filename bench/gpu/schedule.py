"""The parts of the check in their order, the most decisive first, and the seconds that each has.

The whole has a limit. What a part does not need is there for those after it, and the last one takes
what is left.
"""

from dataclasses import dataclass

LIMIT_S, QUICK_LIMIT_S = 480.0, 180.0
SMALL_LIMIT_S = 900.0
"""On a driver that interprets."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A part: `parts/NAME.py`."""

    name: str
    seconds: float
    quick: float
    decides: bool = True
    """Whether the kernels may be used depends on it. All others measure."""

    def limit(self, quick: bool, small: bool, left: float) -> float:
        """Seconds that it may take, of those that are left to all."""
        own = self.quick if quick else self.seconds
        return max(0.0, min(left, SMALL_LIMIT_S if small else own))


PARTS = (
    Planned("matrix_unit", 25, 15),
    Planned("products", 60, 30),
    Planned("attention", 25, 15),
    Planned("pointwise", 15, 10),
    Planned("sampler", 20, 10),
    Planned("graphs", 10, 5),
    Planned("demo", 30, 15),
    Planned("product_times", 60, 20, decides=False),
    Planned("attention_times", 35, 10, decides=False),
    Planned("sampler_times", 10, 5, decides=False),
    Planned("step_times", 90, 35, decides=False),
    Planned("with_torch", 90, 30, decides=False),
    Planned("tile_sweep", 90, 30, decides=False),
)
