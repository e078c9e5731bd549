"""Which worker gets a request.

A policy only looks: it is given what the router knows and names a worker, with its reasons.
Sending, retrying and keeping the books are the router's work; so the same functions run in
production, in the tests and in the simulator.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from raylax.router.fleet.table import Fleet, Reals


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """What a policy may know of a request."""

    id: str
    tokens: int
    """Tokens to compute where nothing is cached: the prompt, and what was emitted elsewhere."""
    matched: Reals
    """How many of them, from the first on, lie in pages at each row of the fleet."""
    session: str = ""
    """What a client wants to stay with one worker; empty: nothing."""
    ordinal: int = 0
    """How many requests this router has routed before."""
    avoid: frozenset[int] = frozenset()
    """Rows not to choose while there are others: where the request has been."""


@dataclass(frozen=True, slots=True)
class RoutingChoice:
    """The worker that a policy names, by its row in the fleet, with its reasons."""

    row: int
    reason: str
    rows: npt.NDArray[np.intp]
    """The candidates."""
    terms: dict[str, Reals] = field(default_factory=dict)
    """What they were compared by, a value for each candidate; `cost` is their order."""

    @property
    def ttft_s(self) -> float:
        """Seconds to the first token there; 0 from a policy that does not predict."""
        if (ttft := self.terms.get("ttft")) is None:
            return 0.0
        return float(ttft[self.rows == self.row][0])


Policy = Callable[[RoutingRequest, Fleet, random.Random], RoutingChoice]
"""Chooses among `candidates(…)`; raises NoCandidate if there are none. Changes nothing."""


class NoCandidate(LookupError):
    """No worker may be given a request now."""


def candidates(request: RoutingRequest, fleet: Fleet) -> npt.NDArray[np.intp]:
    """Rows that may get the request; those to avoid only when there is no other."""
    rows = fleet.rows()
    if len(rows) == 0:
        raise NoCandidate("no worker is ready")
    if request.avoid:
        others = rows[~np.isin(rows, list(request.avoid))]
        return others if len(others) else rows
    return rows
