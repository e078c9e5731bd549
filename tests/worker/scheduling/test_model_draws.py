"""Where the model draws, a request has the tokens that it has where the engine does (law 1)."""

from collections.abc import Callable

import numpy as np
import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Finish, Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.drawing import VOCAB, drawn, undrawn

WAYS = {
    "greedy": Sampling(temperature=0.0),
    "plain": Sampling(seed=1),
    "few": Sampling(top_k=4, top_p=0.9, seed=2),
    "near": Sampling(temperature=1.5, min_p=0.2, seed=3),
    "biased": Sampling(temperature=0.0, logit_bias=((5, 1.5), (6, -100.0))),
    "penalised": Sampling(presence_penalty=1.0, frequency_penalty=0.5, seed=4),
    "repeating": Sampling(temperature=0.0, repetition_penalty=1.5),
    "told": Sampling(top_logprobs=2, seed=5),
    "told_changed": Sampling(repetition_penalty=1.2, top_logprobs=2, seed=6),
}


def requests() -> list[Request]:
    return [
        Request(name, (3, i, 7), 12, way, choice=i) for i, (name, way) in enumerate(WAYS.items())
    ]


def answers(run: Callable[[StepPlan], StepOutput], model_draws: bool) -> dict[str, list[Delta]]:
    batch = Batch(Roster(PagePool(64)), StepLimits(16, 16), run, model_draws=model_draws)
    said = dict[str, list[Delta]]()
    for request in requests():
        batch.roster.add(Sequence(request))
    while not batch.roster.idle:
        for delta in batch.step():
            said.setdefault(delta.request_id, []).append(delta)
    return said


def with_logits(plan: StepPlan) -> StepOutput:
    """What they are of rows whose log-probabilities are wanted."""
    return drawn(plan)._replace(logits=undrawn(plan).logits)


def test_the_same_tokens_and_log_probabilities() -> None:
    assert answers(with_logits, True) == answers(undrawn, False)


def test_logits_of_what_the_model_drew_are_left_where_they_are() -> None:
    """On a GPU a row is half a megabyte away."""

    def run(plan: StepPlan) -> StepOutput:
        return drawn(plan)._replace(logits=np.empty((0, VOCAB), np.float32))

    said = answers(run, True)

    failed = {name for name, deltas in said.items() if deltas[-1].finish is Finish.ERROR}
    assert failed == {"told", "told_changed"}


@pytest.mark.parametrize("largest", [np.nan, np.inf])
def test_what_is_not_finite_ends_its_own_request(largest: float) -> None:
    """By its largest logit: the token says nothing."""

    def run(plan: StepPlan) -> StepOutput:
        output = drawn(plan)
        output.largest[plan.batch.positions[plan.batch.rows] == 4] = largest
        return output._replace(logits=undrawn(plan).logits)

    said = answers(run, True)

    errors = {name: deltas[-1].error or "" for name, deltas in said.items()}
    ended = {name for name, error in errors.items() if "not finite" in error}
    assert ended == set(WAYS) - {"told_changed"}
    assert {len(said[name]) for name in ended} == {3}
