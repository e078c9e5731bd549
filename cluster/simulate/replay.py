"""One run: requests arrive, routers choose, engines compute; what it was like for clients.

Discrete events: an arrival, or the end of a step. No clock but the simulated one, and no chance but
the seed's, so that a run can be repeated to the last bit.
"""

import heapq
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raylax.cluster.simulate.engine import SimulatedEngine
from raylax.cluster.simulate.profile import Profile
from raylax.cluster.simulate.router import ReportBox, RequestEnd, SimulatedRouter
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import Arrival
from raylax.router.policies import policy_named

WARM_UP = 0.05
"""Share of the requests, the first ones, that are left out of the figures."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What decides a run, beside the requests that come."""

    policy: str
    routers: int
    replicas: int
    delay_s: float
    profile: Profile
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What clients saw of the requests after the warm-up. Times in seconds."""

    requests: int
    ttft_mean: float
    ttft_p99: float
    itl_mean: float
    """Between two tokens of an answer."""
    cached: float
    """Share of the prompt tokens that were found in pages."""
    preemptions: int


class Simulation:
    """Engines and their clock: it jumps from the end of one step to the end of the next."""

    def __init__(self, replicas: int, profile: Profile, routers: int) -> None:
        self.boxes = [
            ReportBox(f"worker-{number}", SimulatedEngine(profile), routers)
            for number in range(replicas)
        ]
        self.ends: list[tuple[float, int]] = []
        for box in self.boxes:
            box.say(float("-inf"))  # everybody knows that it is there, and idle

    def submit(self, row: int, one: SimulatedSequence, now: float) -> None:
        """A request reaches an engine, which begins a step if it has none."""
        engine = self.boxes[row].engine
        engine.add(one)
        if not engine.busy:
            heapq.heappush(self.ends, (now + engine.begin(), row))

    def step(self) -> tuple[float, int, list[SimulatedSequence]]:
        """The next end of a step: when, whose, and who is done by it."""
        now, row = heapq.heappop(self.ends)
        engine = self.boxes[row].engine
        done = engine.end(now)
        self.boxes[row].say(now)
        if engine.running or engine.waiting:
            heapq.heappush(self.ends, (now + engine.begin(), row))
        return now, row, done


def replay(requests: Sequence[Arrival], settings: RunSettings) -> Outcome:
    """What it was like for the clients of `requests`, which are in the order of their arrival."""
    rng = random.Random(settings.seed)
    simulation = Simulation(settings.replicas, settings.profile, settings.routers)
    routers = routers_of(settings, simulation.boxes, rng)
    finished: list[SimulatedSequence] = []

    def step() -> None:
        now, row, done = simulation.step()
        for one in done:
            routers[one.router].ends.append(RequestEnd(now + settings.delay_s, row, one.id))
        finished.extend(done)

    for number, arrival in enumerate(requests):
        while simulation.ends and simulation.ends[0][0] <= arrival.at:
            step()
        one = SimulatedSequence.of(f"request-{number}", arrival, rng.randrange(settings.routers))
        simulation.submit(routers[one.router].route(one, arrival.at), one, arrival.at)
    while simulation.ends:
        step()

    engines = [box.engine for box in simulation.boxes]
    for engine in engines:
        engine.check()
    assert len(finished) == len(requests), "every request ends exactly once"
    begin = requests[int(len(requests) * WARM_UP)].at
    return outcome([one for one in finished if one.arrived >= begin], engines)


def routers_of(
    settings: RunSettings, boxes: Sequence[ReportBox], rng: random.Random
) -> list[SimulatedRouter]:
    """All routers of a run, each with chance of its own."""
    return [
        SimulatedRouter(
            number,
            settings.routers,
            boxes,
            policy_named(settings.policy),
            settings.delay_s,
            random.Random(rng.random()),
        )
        for number in range(settings.routers)
    ]


def outcome(finished: Sequence[SimulatedSequence], engines: Iterable[SimulatedEngine]) -> Outcome:
    """The figures of those that have finished, and the engines' preemptions."""
    ttft = sorted(one.first - one.arrived for one in finished)
    gaps = sum(one.arrival.answer - 1 for one in finished)
    return Outcome(
        requests=len(finished),
        ttft_mean=sum(ttft) / len(ttft),
        ttft_p99=ttft[int(len(ttft) * 0.99)],
        itl_mean=sum(one.last - one.first for one in finished) / max(1, gaps),
        cached=sum(one.cached for one in finished) / sum(one.arrival.prompt for one in finished),
        preemptions=sum(engine.preemptions for engine in engines),
    )


def throughput(requests: Sequence[Arrival], replicas: int, profile: Profile) -> float:
    """Requests per second that the workers complete when each has as many as it can run, all
    through: what 100 % load means. A request goes to the worker with the fewest."""
    simulation = Simulation(replicas, profile, routers=0)
    flying = [0] * replicas
    coming = iter(enumerate(requests))
    times: list[float] = []

    def send(now: float) -> None:
        number, arrival = next(coming, (0, None))
        if arrival is not None:
            row = flying.index(min(flying))
            flying[row] += 1
            simulation.submit(row, SimulatedSequence.of(f"request-{number}", arrival, 0), now)

    for _ in range(min(profile.sequences * replicas, len(requests) // 4)):
        send(0.0)
    while simulation.ends:
        now, row, done = simulation.step()
        for _ in done:
            flying[row] -= 1
            times.append(now)
            send(now)
    first, last = len(times) // 10, len(times) * 9 // 10  # without the start and the end
    return (last - first) / (times[last] - times[first])
