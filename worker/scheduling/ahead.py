"""One step ahead: a device is given the next step before anybody has read what this one draws.

That is possible where each sequence of a step decodes on, whatever its token is. A token that ends
its sequence is drawn all the same, and once more: what the step behind it comes to for that
sequence is nobody's, and the pages are given back when the token is read. They may be others' while
the device still writes to them: what these write comes later. So whoever waits for a place is
admitted one step later, where nobody knew that it would be free.
"""

from collections import abc
from typing import NamedTuple

import numpy as np

from raylax.kernels.draws.rules import NO_RULE, StepDraws
from raylax.kernels.model import StepBatch
from raylax.proto.pages import PAGE_SIZE
from raylax.worker.sampling.rules import PLAIN, Row, draws_of
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.flight import Flight
from raylax.worker.scheduling.sequence import DECODE, Sequence, ints
from raylax.worker.scheduling.step_plan import StepPlan


class Follower(NamedTuple):
    """A sequence of a step that decodes on in the next one."""

    one: Sequence
    row: int
    """Of the step, which draws the token that the next one computes."""
    position: int
    """Of that token in the sequence."""

    @property
    def candidate(self) -> Candidate:
        """As the scheduler will see it."""
        request = self.one.request
        return Candidate(
            request.id,
            DECODE,
            1,
            self.position,
            len(self.one.pages) - len(self.one.behind),
            priority=request.priority,
            tenant=request.tenant,
            behind=len(self.one.behind),
        )


def followers(flight: Flight, running: abc.Mapping[str, Sequence]) -> list[Follower]:
    """Who decodes on after a step; nobody if that cannot be said before its tokens are read: if
    somebody in it draws no token yet, or on the host, if the next draw depends on this one, or if
    others run who are not in it, since they are tried alone, say."""
    found, row, draws = list[Follower](), 0, flight.plan.batch.draws
    left = flight.left(running)
    if len(left) < len(running):
        return []
    for one, count, wanted in flight.batch:
        row += wanted
        if running.get(one.request.id) is not one:
            continue
        if wanted != 1 or not is_drawn(one, draws, row - 1):
            return []
        if one.generated + 1 < one.max_tokens:
            found.append(Follower(one, row - 1, one.computed + count))
    return found


def is_drawn(one: Sequence, draws: StepDraws | None, row: int) -> bool:
    """Whether the model draws its token, nobody looks at its logits, and the next draw's rule knows
    nothing of it."""
    if one.unread > 0 or one.request.sampling.top_logprobs is not None or one.adjustment.remembers:
        return False
    if draws is None or draws.rules["position"][row] == NO_RULE:
        return one.rule is PLAIN
    return True


def plan_behind(number: int, batch: abc.Sequence[Follower]) -> StepPlan:
    """A decode of each, whose pages suffice."""
    slots, table = ints(), ints()
    longest = max(len(one.pages) for one, _, _ in batch)
    for one, _, at in batch:
        slots.append(one.pages[at // PAGE_SIZE] * PAGE_SIZE + at % PAGE_SIZE)
        table += one.pages
        table += ints([0]) * (longest - len(one.pages))
    count, places = len(batch), np.array([at for _, _, at in batch], np.int32)
    rows = [Row(one.rule, one.generated + 1, one.adjustment) for one, _, _ in batch]
    laid_out = StepBatch(
        np.array([-1 - row for _, row, _ in batch], np.int32),
        places,
        np.asarray(slots),
        np.arange(count + 1, dtype=np.int32),
        places + np.int32(1),
        np.asarray(table).reshape(count, longest),
        np.arange(count, dtype=np.int32),
        draws_of(rows),
    )
    return StepPlan(number, laid_out)


def flight_behind(number: int, batch: abc.Sequence[Follower], begun: float) -> Flight:
    """A decode of each, whose pages suffice."""
    work = 0, len(batch), sum(at for _, _, at in batch)
    return Flight(plan_behind(number, batch), [(one, 1, 1) for one, _, _ in batch], work, begun)
