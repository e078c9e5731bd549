"""What an engine has done, by MLC-LLM's names."""

from typing import Any

import pytest

from raylax.proto.vocabulary import Delta, Finish, Request, StepTime
from raylax.worker.engine.engine_metrics import EngineMetrics
from raylax.worker.scheduling.counters import Counters, StepSums

PACE = StepTime(a=9.0, b=0.5, c=1.0, d=0.25)


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[EngineMetrics, Counters, Clock]:
    clock = Clock()
    metrics, counters = EngineMetrics(clock), Counters()
    metrics.follow(counters)
    return metrics, counters, clock


@pytest.mark.parametrize(
    ("work", "prefill_s", "decode_s"),
    [
        ((8, 0, 0), 6.0, 0.0),
        ((0, 2, 8), 0.0, 6.0),
        ((8, 2, 8), 3.0, 3.0),  # 4 of 8 by what tokens take
    ],
)
def test_a_step_is_divided_by_what_its_tokens_take(
    work: tuple[int, int, int], prefill_s: float, decode_s: float
) -> None:
    sums = StepSums()
    sums.add(work, 6.0, PACE)

    assert (sums.prefill_s, sums.decode_s, sums.prefill_tokens) == (prefill_s, decode_s, work[0])


def test_before_anything_is_learned_a_step_is_divided_by_its_tokens() -> None:
    sums = StepSums()
    sums.add((3, 1, 100), 4.0, StepTime())

    assert (sums.prefill_s, sums.decode_s) == (3.0, 1.0)


def test_decodes_are_told_by_their_number() -> None:
    """Without the first step of each size, and without steps that do more or many more."""
    metrics, counters, _ = made()
    for work, seconds in [
        ((0, 2, 9), 50.0), ((0, 2, 9), 1.0), ((0, 2, 9), 3.0), ((5, 2, 9), 70.0), ((0, 3, 9), 9.0),
        ((0, 65, 9), 1.0), ((0, 65, 9), 1.0),
    ]:  # fmt: skip
        counters.sums.add(work, seconds, PACE)

    assert metrics.numbers()["decode_time_by_batch_size"] == {
        "mean{batch_size=2}": 2.0, "count{batch_size=2}": 2.0,
    }  # fmt: skip


def test_a_request_that_has_ended() -> None:
    """By its own times; its first token is the prefill's."""
    metrics, counters, clock = made()
    metrics.added(Request("r", (5,) * 40, 9))
    clock.now += 2.0
    metrics.heard([Delta("r", began=True)])
    clock.now += 2.0
    metrics.heard([Delta("r", (1,), cached_tokens=16)])
    clock.now += 4.0
    metrics.heard([Delta("r", (2,)), Delta("other", (3,)), Delta("r", (4,), finish=Finish.LENGTH)])
    counters.generated_tokens, counters.prompt_tokens = 3, 40
    counters.sums.add((24, 0, 0), 3.0, PACE)
    counters.sums.add((0, 1, 40), 4.0, PACE)
    said = metrics.numbers()

    assert said["last_finished_request"] == {
        "prompt_tokens": 40, "completion_tokens": 3, "prefill_tokens": 24, "decode_tokens": 2,
        "jump_forward_tokens": 0, "prefill_tokens_per_s": 6.0, "decode_tokens_per_s": 0.5,
        "end_to_end_latency_s": 8.0, "ttft_s": 4.0, "inter_token_latency_s": pytest.approx(8 / 3),
    }  # fmt: skip
    del said["last_finished_request"]
    assert said == {
        "engine_prefill_time_sum": 3.0, "engine_decode_time_sum": 4.0,
        "engine_jump_forward_time_sum": 0.0, "prompt_tokens_sum": 40, "completion_tokens_sum": 3,
        "prefill_tokens_sum": 24, "decode_tokens_sum": 2, "jump_forward_tokens_sum": 0,
        "prefill_tokens_per_s": 8.0, "decode_tokens_per_s": 0.5,
    }  # fmt: skip


def test_what_became_of_drafts() -> None:
    """The first token of a step is always right."""
    metrics, counters, _ = made()
    for drafted, right in [(3, 3), (2, 0), (1, 1), (2, 1)]:
        counters.verified(drafted, right)

    assert metrics.numbers()["spec_decode"] == {
        "draft_count": [4, 4, 3, 1],
        "accept_count": [4, 3, 1, 1],
        "accept_prob": steps("accept_prob", 1.0, 0.75, 1 / 3, 1.0),
        "accept_rate": steps("accept_rate", None, 0.75, 1 / 3, 1.0),
        "accept_len": steps("accept_len", 1.0, 1.75, 1.75 + 1 / 3, 2.75 + 1 / 3),
    }


def steps(name: str, *values: float | None) -> dict[str, Any]:
    return {
        f"{name}{{step={at}}}": pytest.approx(value)
        for at, value in enumerate(values)
        if value is not None
    }


def test_a_reset_begins_at_nothing() -> None:
    """What the engine counts for others goes on."""
    metrics, counters, _ = made()
    nothing = metrics.numbers()
    counters.prompt_tokens = counters.generated_tokens = 7
    counters.sums.add((7, 0, 0), 1.0, PACE)
    counters.verified(2, 1)
    metrics.reset()
    assert metrics.numbers() == nothing
    counters.prompt_tokens += 2
    counters.verified(1, 1)

    assert metrics.numbers()["prompt_tokens_sum"] == 2
    assert metrics.numbers()["spec_decode"]["draft_count"] == [1, 1]
    assert (counters.prompt_tokens, counters.drafted_tokens) == (9, 3)
