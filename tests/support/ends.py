"""Numbers at the ends of a range."""

import math


def outside(least: float, most: float) -> list[float]:
    """The next number at either end, and what is in no range."""
    beyond = math.nextafter(least, -math.inf), math.nextafter(most, math.inf)
    return [*beyond, math.nan, math.inf, -math.inf]
