"""The simulated engine: steps and times that can be reckoned by hand, and nothing left over."""

import random
from dataclasses import replace

import pytest

from raylax.cluster.simulate.engine import SimulatedEngine
from raylax.cluster.simulate.profile import Profile
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import BLOCK, Arrival
from raylax.worker.scheduling.decision.bypass import MOST_PASSED
from raylax.worker.scheduling.decision.targets import MANY

PROFILE = Profile(a=1.0, b=0.01, c=0.1, d=0.001, budget=100, kv=10_000, sequences=4)


def request(id: str, prompt: int, answer: int, names: tuple[int, ...] = ()) -> SimulatedSequence:
    return SimulatedSequence.of(id, Arrival(0.0, prompt, answer, names), router=0)


def run(engine: SimulatedEngine, *requests: SimulatedSequence, now: float = 0.0) -> float:
    """To the end of everything; when that is. What it holds agrees with itself in every step."""
    for one in requests:
        engine.add(one)
    while engine.running or engine.waiting:
        now += engine.begin()
        assert engine.pages.held + engine.pages.cached <= engine.pages.total
        engine.end(now)
        assert engine.decoding == len(engine.running) - len(engine.filling)
        assert engine.todo >= 0
    engine.check()
    return now


def test_a_request_takes_its_prefill_and_its_decodes() -> None:
    """50 tokens at once, then two steps with 50 and 51 tokens of context."""
    one = request("a", prompt=50, answer=3)
    end = run(SimulatedEngine(PROFILE), one)

    assert one.first == pytest.approx(1.5)
    assert end == one.last == pytest.approx(1.5 + (1 + 0.1 + 0.050) + (1 + 0.1 + 0.051))


def test_a_long_prompt_comes_in_chunks_beside_decodes() -> None:
    """Of 100 tokens of a step one is the other's decode: 99 and 1 remain for 100 tokens."""
    short, long = request("short", prompt=10, answer=9), request("long", prompt=189, answer=1)
    run(SimulatedEngine(PROFILE), short, long)

    # 10 + 90; then a decode with 10 tokens of context beside the other 99
    assert short.first == pytest.approx(2.0)
    assert long.first == pytest.approx(2.0 + 1 + 0.99 + 0.1 + 0.010)


def test_a_long_prompt_leaves_the_steps_of_others_short() -> None:
    """With a target of 1.5 s a step beside a decode has 38 tokens of prefill, by the engine's own
    rule: 1 + 0.38 + 0.1 + 0.01."""
    engine = SimulatedEngine(replace(PROFILE, itl_s=1.5))
    engine.add(request("short", prompt=10, answer=9))
    engine.begin()
    engine.end(now=1.1)
    engine.add(request("long", prompt=189, answer=1))

    assert engine.begin() == pytest.approx(1 + 0.38 + 0.1 + 0.010)


def test_steps_are_full_while_many_wait_for_their_first_tokens() -> None:
    """Where nobody has set a target, as in an engine; else what was set holds."""
    for itl_s, seconds in ((None, 1 + 0.99 + 0.1 + 0.010), (1.5, 1 + 0.38 + 0.1 + 0.010)):
        engine = SimulatedEngine(replace(PROFILE, itl_s=itl_s, sequences=50))
        engine.add(request("short", prompt=10, answer=9))
        engine.begin()
        engine.end(now=1.1)
        for number in range(MANY):
            engine.add(request(f"long{number}", prompt=189, answer=1))

        assert engine.begin() == pytest.approx(seconds)


def test_equal_prompts_that_come_together_are_computed_once() -> None:
    """The others wait for the first one's blocks, and those behind them do not."""
    engine, names = SimulatedEngine(PROFILE), (1, 2)
    equal = [request(id, 2 * BLOCK + 20, 2, names) for id in "abc"]
    other = request("other", 30, 2, ())
    run(engine, *equal, other)

    assert [one.cached for one in equal] == [0, 2 * BLOCK, 2 * BLOCK]
    assert other.first == equal[0].first < equal[1].first == equal[2].first


def test_one_that_does_not_fit_is_passed_in_so_many_steps() -> None:
    """By those that do; then all wait behind it, until it fits."""
    engine = SimulatedEngine(replace(PROFILE, kv=5000, budget=5000, sequences=90, itl_s=0))
    first, large = request("first", 3000, 200), request("large", 4000, 2)
    small = [request(f"small{number}", 5, 2) for number in range(60)]
    engine.add(first)
    now = engine.begin()
    engine.end(now)
    engine.add(large)
    for one in small:
        engine.add(one)
        now += engine.begin()
        engine.end(now)
    run(engine, now=now)

    assert large.first > first.last
    assert sum(one.first < large.first for one in small) == MOST_PASSED


def test_the_first_come_is_served_first() -> None:
    """Who comes later waits, also when it is shorter."""
    requests = [request("long", 250, 1), request("short", 1, 1), request("next", 300, 1)]
    run(SimulatedEngine(PROFILE), *requests)

    assert [one.first for one in requests] == sorted(one.first for one in requests)


def test_seats_are_few() -> None:
    """A fifth request waits while four run."""
    engine = SimulatedEngine(PROFILE)
    for number in range(5):
        engine.add(request(str(number), 1, 9))
    engine.begin()

    assert (len(engine.running), len(engine.waiting)) == (4, 1)


def test_a_prompt_that_was_there_is_not_computed_again() -> None:
    """But for its last token, without which there is no next one."""
    engine = SimulatedEngine(PROFILE)
    run(engine, request("a", 2 * BLOCK, 2, (1, 2)))
    again, longer = request("b", 2 * BLOCK, 2, (1, 2)), request("c", 2 * BLOCK + 1, 2, (1, 2))
    run(engine, again, longer)

    assert again.cached == BLOCK
    assert longer.cached == 2 * BLOCK


def test_what_waits_is_counted_without_its_known_beginning() -> None:
    """As a real worker's load counts it."""
    engine = SimulatedEngine(PROFILE)
    run(engine, request("a", 2 * BLOCK, 2, (1, 2)))
    engine.add(request("b", 3 * BLOCK, 2, (1, 2, 3)))
    engine.add(request("c", 7, 2))

    assert engine.state().todo == BLOCK + 7


def test_what_can_be_found_is_told_once() -> None:
    """By page events: those that came, and those that had to go."""
    engine = SimulatedEngine(PROFILE)
    for number in range(9):
        run(engine, request(f"r{number}", 4 * BLOCK, 2, tuple(range(4 * number, 4 * number + 4))))
    added, removed = engine.pages.added, engine.pages.removed

    assert added == list(range(36))
    assert removed[0] == 3  # the end of the oldest prompt goes first
    assert engine.pages.cached == (len(added) - len(removed)) * BLOCK


def test_who_runs_out_of_pages_starts_again() -> None:
    """Four that grow to 3,500 tokens do not fit into 10,000: the last one waits, all end."""
    engine = SimulatedEngine(PROFILE)
    requests = [request(str(number), 2000, 1500) for number in range(4)]
    run(engine, *requests)

    assert engine.preemptions > 0
    assert [one.tokens + one.left for one in requests] == [3499] * 4  # the last is not kept
    assert requests[0].last == min(one.last for one in requests)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_left_over(seed: int) -> None:
    """Of requests of all sizes that share prefixes, in pages that are too few for them."""
    rng, engine = random.Random(seed), SimulatedEngine(replace(PROFILE, kv=5000))
    requests = []
    for number in range(150):
        prompt, group = rng.randrange(1, 3000), rng.randrange(6)
        names = tuple(group * 100 + block for block in range(prompt // BLOCK))
        requests.append(request(str(number), prompt, rng.randrange(1, 1500), names))
    run(engine, *requests)

    assert engine.preemptions > 0
    assert sum(one.cached for one in requests) > 0
    assert all(0 < one.first <= one.last for one in requests)
    for one in requests:  # started again or not, every token is made once
        assert one.tokens + one.left == one.arrival.prompt + one.arrival.answer - 1
    assert engine.state().held == engine.todo == engine.context == 0
