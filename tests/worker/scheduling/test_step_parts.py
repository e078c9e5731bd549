"""Where the time of steps went, and how large they were."""

from itertools import count

from raylax.worker.scheduling.counters import PARTS, STEP_TOKENS
from tests.support.counting_model import ask, batch, run


def test_every_step_is_counted_by_its_tokens() -> None:
    made = batch(tokens=8, sequences=2)
    made.roster.add(ask("a", tuple(range(20)), 3))
    run(made)
    counters = made.counters

    # eight, eight and four tokens of the prompt, and two that were drawn
    by_size = dict(zip(STEP_TOKENS, counters.step_tokens[:-1], strict=True))
    assert {size: steps for size, steps in by_size.items() if steps} == {1: 2, 8: 3}
    assert sum(counters.step_tokens) == counters.steps == 5
    assert counters.step_tokens_sum == 22


def test_the_time_of_a_step_is_that_of_its_parts() -> None:
    """Each part lasts from the one before it: nothing of a step is in none."""
    made = batch()
    made.roster.add(ask("a", tuple(range(5)), 2))
    made.part_clock = count(step=1.0).__next__  # each look at it takes a second
    run(made)
    parts = made.counters.part_s

    assert list(parts) == list(PARTS)
    assert {part: seconds for part, seconds in parts.items() if seconds} == {
        "decide": 2.0, "run": 2.0, "draw": 2.0, "commit": 2.0
    }  # fmt: skip
