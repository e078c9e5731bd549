"""What simulated routers know of a worker, and when."""

import random
from collections.abc import Iterator

import pytest

from raylax.cluster.simulate.engine import SimulatedEngine
from raylax.cluster.simulate.profile import ASSUMED
from raylax.cluster.simulate.router import ReportBox, SimulatedRouter
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import BLOCK, Arrival
from raylax.router.fleet.table import Fleet, WorkerView
from raylax.router.policies.base import RoutingChoice, RoutingRequest

DELAY_S = 0.02


class Witness:
    """Takes the only worker, and remembers what was known of it."""

    known: WorkerView
    matched: float

    def __call__(self, request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
        self.known, self.matched = fleet.view("worker-0"), float(request.matched[0])
        return RoutingChoice(0, "there is no other", fleet.rows())


class Pair:
    """Two routers of one worker; requests of three full blocks that are always the same."""

    def __init__(self) -> None:
        self.engine, self.witness = SimulatedEngine(ASSUMED["gpu"]), Witness()
        self.box = ReportBox("worker-0", self.engine, routers=2)
        self.box.say(float("-inf"))
        self.routers = [
            SimulatedRouter(number, 2, [self.box], self.witness, DELAY_S, random.Random(0))
            for number in range(2)
        ]
        self._numbers: Iterator[int] = iter(range(100))

    def send(self, router: int, now: float) -> WorkerView:
        """What that router knew when it sent a request."""
        arrival = Arrival(now, 3 * BLOCK, 5, (1, 2, 3))
        one = SimulatedSequence.of(f"r{next(self._numbers)}", arrival, router)
        self.routers[router].route(one, now)
        self.engine.add(one)
        return self.witness.known

    def step(self, now: float) -> float:
        """Its end, after which the worker reports."""
        end = now + self.engine.begin()
        self.engine.end(end)
        self.box.say(end)
        return end


@pytest.mark.parametrize("router", [0, 1])
def test_after_each_step_every_router_hears_of_it(router: int) -> None:
    """The delay after its end, also who has nothing in that step."""
    pair = Pair()
    pair.send(0, now=1.0)
    end = pair.step(now=1.0)

    assert pair.send(router, end + 0.9 * DELAY_S).running == 0
    heard = pair.send(router, end + 1.1 * DELAY_S)
    assert (heard.running, heard.decoding, heard.step_began) == (1, 1, end)


def test_a_router_counts_what_it_sent_until_a_report_knows_it() -> None:
    """And knows nothing of the other's, until then."""
    pair = Pair()
    pair.send(0, now=1.0)

    assert pair.send(1, now=1.001).pending == 0
    assert pair.send(0, now=1.002).pending == 3 * BLOCK
    end = pair.step(now=1.002)
    assert pair.send(0, end + DELAY_S).pending == 0


@pytest.mark.parametrize(("late", "matched"), [(0.9, 0), (1.1, 3 * BLOCK - 1)])
def test_pages_are_known_as_late_as_the_step_that_filled_them(late: float, matched: int) -> None:
    """All but the last token, which is always computed."""
    pair = Pair()
    pair.send(0, now=1.0)
    pair.send(1, pair.step(now=1.0) + late * DELAY_S)

    assert pair.witness.matched == matched


def test_where_a_router_has_sent_a_prompt_its_pages_count_as_known() -> None:
    """At once, since they will be there."""
    pair = Pair()
    pair.send(0, now=1.0)
    pair.send(0, now=1.001)

    assert pair.witness.matched == 3 * BLOCK - 1
