"""How much prefill a step may hold beside those who decode, in tables."""

import math

import pytest

from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.decision.prefill_budget import LEAST_PART, prefill_budget

MOST = 512
TIME = StepTime(a=0.030, b=0.001, c=0.001, d=1e-6)


@pytest.mark.parametrize(
    ("decoding", "context", "target_s", "tokens"),
    [
        (1, 0, 0.1315, 100),  # 31 ms are the decode's
        (10, 0, 0.1405, 100),
        (10, 10_000, 0.1505, 100),
        (1, 0, 0.0525, 21),
        (1, 0, 9.0, MOST),
        (1, 0, None, MOST),  # nobody has a target
        (0, 0, 0.050, MOST),  # nobody waits for the next token
    ],
)
def test_a_step_stays_within_the_target(
    decoding: int, context: int, target_s: float | None, tokens: int
) -> None:
    assert prefill_budget(TIME, decoding, context, target_s, MOST) == tokens


@pytest.mark.parametrize("target_s", [0.110, 0.100, 0.001])
def test_a_prefill_does_not_starve(target_s: float) -> None:
    """Where those who decode need all of the target, or more: it has a part of the step."""
    tokens = prefill_budget(TIME, 70, 10_000, target_s, MOST)
    others = TIME.seconds(0, 70, 10_000)

    assert tokens == 16 or math.isclose(TIME.b * tokens / (others + TIME.b * tokens), LEAST_PART)
    assert prefill_budget(TIME, 240, 40_000, target_s, MOST) == 44


def test_a_page_is_the_least() -> None:
    assert prefill_budget(StepTime(a=0.010, b=0.005), 4, 0, 0.011, MOST) == 16
    assert prefill_budget(StepTime(a=0.010, b=0.005), 4, 0, 0.011, 8) == 8


def test_nothing_is_held_back_while_nothing_is_known() -> None:
    assert prefill_budget(StepTime(), 4, 100, 0.010, MOST) == MOST
