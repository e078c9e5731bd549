"""Expected seconds at each worker, from its last report: what routing, admission and hedging ask.

The formulas are those of the routing study (see ARCHITECTURE.md): a step of a worker takes
`a + b*prefill + c*decoding + d*context`; how many tokens of prefill it takes beside its decodes,
the worker says itself.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.router.fleet.table import Fleet, Reals

NOMINAL = (0.02, 0.001, 0.002, 1e-7)
"""Seconds of a step, at a worker where none has been learned anywhere yet."""

ZERO, TWO = np.array(0.0), np.array(2.0)
"""As arrays, since numpy converts a float anew in every operation."""


class Estimate(NamedTuple):
    """What is expected at each candidate: an entry for each of the rows asked about."""

    wait: Reals
    """Seconds until a step begins that a new request can join."""
    todo: Reals
    """Prompt tokens before it by then, this router's pending ones included."""
    room: Reals
    """Prefill tokens that a step takes beside its decodes."""
    over: Reals
    """Seconds of a step without its prefill."""
    b: Reals
    """Seconds of a prefill token."""

    @property
    def per_token(self) -> Reals:
        """Seconds by which a prefill token moves what comes after it."""
        return self.b + self.over / self.room

    def ttft(self, uncached: Reals) -> Reals:
        """Seconds to the first token of a request with so many tokens to compute, at least one."""
        ahead = self.todo + uncached
        return self.wait + np.ceil(ahead / self.room) * self.over + self.b * ahead


def estimate(fleet: Fleet, rows: npt.NDArray[np.intp]) -> Estimate:
    """The estimate of these rows of a fleet, at the fleet's `now`."""
    a, b, c, d = paces(fleet, rows)
    room = fleet.room[rows]
    over = a + c * fleet.decoding[rows] + d * fleet.context[rows]
    per_token = b + over / room
    reported, pending = fleet.todo[rows], fleet.pending[rows]
    in_step = np.minimum(reported, room)  # what the running step prefills
    late = fleet.now - (fleet.step_began[rows] + over + b * in_step)
    passed = np.maximum(late, ZERO)  # since that step's end: its report is under way
    todo = np.maximum(reported - in_step - passed / per_token, ZERO) + pending
    wait = np.where(late < ZERO, -late, over / TWO)
    idle = (fleet.running[rows] + fleet.waiting[rows] == ZERO).nonzero()[0]
    if len(idle):  # what came since its report began at once
        passed = fleet.now - fleet.pending_since[rows[idle]]
        wait[idle] = a[idle] / 2 * (pending[idle] > 0.0)
        todo[idle] = np.maximum(pending[idle] - passed / per_token[idle], 0.0)
    return Estimate(wait, todo, room, over, b)


def paces(fleet: Fleet, rows: npt.NDArray[np.intp]) -> tuple[Reals, Reals, Reals, Reals]:
    """The four coefficients of each worker's step. A worker that has not learned its own yet counts
    as an average one."""
    columns = fleet.a[rows], fleet.b[rows], fleet.c[rows], fleet.d[rows]
    if np.count_nonzero(columns[1]) == len(rows):
        return columns
    known = columns[1] > 0
    for column, nominal in zip(columns, NOMINAL, strict=True):
        column[~known] = column[known].mean() if known.any() else nominal
    return columns
