"""One run: requests, a fleet, a rule that is asked every two seconds, and what it came to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raylax.cluster.autoscaling.rule import EVERY_S
from raylax.cluster.autoscaling.snapshot import Targets
from raylax.cluster.simulate.scaling.fleet import ScalingFleet
from raylax.cluster.simulate.scaling.look import look
from raylax.cluster.simulate.scaling.rows import FleetSettings
from raylax.cluster.simulate.scaling.rules import Rule
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import Arrival

TAIL_S = 120.0
"""How long workers are paid for behind the last arrival."""
SHORT = 8
"""Answers of fewer tokens have no time between tokens that is worth a target."""


@dataclass(frozen=True, slots=True)
class ScalingOutcome:
    """What a rule came to."""

    hours: float
    """Of workers, from their orders on."""
    missed: float
    """Share of the requests that were late or refused."""
    refused: int
    starts: int
    turns: int
    """Changes of direction."""
    seconds: float
    """Of the run."""
    late_at: npt.NDArray[np.float64]
    """When those arrived that were late or refused."""


def run(
    requests: Sequence[Arrival], settings: FleetSettings, targets: Targets, rule: Rule
) -> ScalingOutcome:
    """Every request ends, once, or is refused."""
    fleet, last, way, turns = ScalingFleet(settings, requests), requests[-1].at, 0, 0
    end = last + 1.0 + TAIL_S
    while fleet.now < end:
        fleet.advance(min(end, fleet.now + EVERY_S))
        before = fleet.target
        fleet.order(rule(look(fleet, EVERY_S)))
        now = (fleet.target > before) - (fleet.target < before)
        turns += now * way < 0
        way = now or way
    hours = fleet.cost_s / 3600
    finish(fleet)
    late = [one.arrived for one in fleet.finished if is_late(one, targets)]
    late += [one.at for one in fleet.refused]
    return ScalingOutcome(
        hours, len(late) / len(requests), len(fleet.refused), fleet.starts, turns, end,
        np.array(late),
    )  # fmt: skip


def finish(fleet: ScalingFleet) -> None:
    """Let everybody end who is still there; one worker at least stays for that."""
    while fleet.left:
        fleet.order(max(1, fleet.target))
        fleet.advance(fleet.now + EVERY_S)
    for box in fleet.boxes:
        box.engine.check()


def is_late(one: SimulatedSequence, targets: Targets) -> bool:
    """Whether its first token or its mean token was late."""
    if one.first - one.arrived > targets.ttft_s:
        return True
    answer = one.arrival.answer
    if targets.itl_s is None or answer < SHORT:
        return False
    return (one.last - one.first) / (answer - 1) > targets.itl_s
