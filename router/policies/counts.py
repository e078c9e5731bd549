"""What simple policies count of a worker, and how they settle a tie."""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raylax.router.fleet.table import Fleet, Reals

Rows = npt.NDArray[np.intp]


def requests(fleet: Fleet, rows: Rows) -> Reals:
    """Requests in flight at each row. A report may or may not know those that this router has
    sent since, so that the larger of the two counts holds."""
    return np.maximum(fleet.running[rows] + fleet.waiting[rows], fleet.own_requests[rows])


def tokens(fleet: Fleet, rows: Rows) -> Reals:
    """Prompt tokens that wait at each row, with those that are on their way."""
    return fleet.todo[rows] + fleet.pending[rows]


def least(by: Sequence[Reals], rng: random.Random) -> int:
    """Index of the smallest, ties settled by the next column, and at last at random."""
    if len(by[0]) == 1:
        return 0
    best = (by[0] == np.minimum.reduce(by[0])).nonzero()[0]
    for column in by[1:]:
        if len(best) > 1:
            best = best[column[best] == np.minimum.reduce(column[best])]
    return int(best[rng.randrange(len(best)) if len(best) > 1 else 0])
