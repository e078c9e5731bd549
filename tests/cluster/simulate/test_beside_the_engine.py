"""The simulated engine beside the real scheduler: of the same requests the same steps."""

import random

import pytest

from raylax.cluster.simulate.engine import SimulatedEngine
from raylax.cluster.simulate.profile import Profile
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import Arrival
from raylax.proto.pages import PAGE_SIZE
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.roster import Roster
from tests.support.counting_model import ask, count

SEATS, TOKENS, UNIT = 6, 700, 10
PAGES = 4 * UNIT + SEATS
"""For four units of prompts, and a page for each answer: the simulated engine counts tokens."""
Asked = tuple[int, int, int]
"""In which step, the pages of the prompt, and the tokens of the answer: in one page."""


def firsts_of_the_real_one(arrivals: list[Asked], rng: random.Random) -> list[int]:
    made = Batch(Roster(PagePool(PAGES)), StepLimits(TOKENS, SEATS), count)
    firsts, step = dict[str, int](), 0
    while len(firsts) < len(arrivals):
        for number, (at, pages, answer) in enumerate(arrivals):
            if at == step:
                prompt = tuple(rng.choices(range(900), k=pages * PAGE_SIZE))
                made.roster.add(ask(str(number), prompt, answer))
        for delta in made.step():
            firsts.setdefault(delta.request_id, step)
        step += 1
    return [firsts[str(number)] for number in range(len(arrivals))]


def firsts_of_the_simulated_one(arrivals: list[Asked]) -> list[int]:
    profile = Profile(
        a=0, b=1e-3, c=0, d=0, budget=TOKENS, kv=PAGES * PAGE_SIZE, sequences=SEATS, itl_s=0
    )
    engine, came = SimulatedEngine(profile), list[SimulatedSequence]()
    for number, (at, pages, answer) in enumerate(arrivals):
        arrival = Arrival(float(at), pages * PAGE_SIZE, answer)
        came.append(SimulatedSequence.of(str(number), arrival, router=0))
    step, done = 0, 0
    while done < len(came):
        for one in came:
            if one.arrived == step:
                engine.add(one)
        engine.begin()
        done += len(engine.end(step + 1.0))
        step += 1
    engine.check()
    return [int(one.first) - 1 for one in came]


@pytest.mark.parametrize("seed", range(20))
def test_first_tokens_come_in_the_same_steps(seed: int) -> None:
    """Of prompts of all sizes in few pages and seats, large ones of which are passed."""
    rng = random.Random(seed)
    arrivals = [
        (rng.randrange(150), UNIT * rng.choice((1, 1, 1, 1, 2, 3, 4)), rng.randrange(1, 17))
        for _ in range(80)
    ]
    real = firsts_of_the_real_one(arrivals, rng)

    assert firsts_of_the_simulated_one(arrivals) == real
    in_order = sorted(range(len(arrivals)), key=lambda number: arrivals[number][0])
    assert [real[number] for number in in_order] != sorted(real)  # some are passed
