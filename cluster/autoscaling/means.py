"""Means that forget, and the largest value of a while."""

import math
from collections import deque


def toward(old: float, new: float, passed: float, age: float) -> float:
    """An exponential mean of this age, after so much more of `new`: both in seconds, or in
    requests."""
    return old + (1 - math.exp(-passed / age)) * (new - old)


class Most:
    """The largest of what was said within a while."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, int]] = deque()  # times grow, values fall

    def of(self, now: float, value: int, seconds: float) -> int:
        """Says `value`, and gives the largest of the last `seconds`."""
        while self._rows and self._rows[-1][1] <= value:
            self._rows.pop()
        self._rows.append((now, value))
        while self._rows[0][0] < now - seconds:
            self._rows.popleft()
        return self._rows[0][1]
