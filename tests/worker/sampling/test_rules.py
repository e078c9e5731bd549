"""Which rows a model draws by itself, and what it is told of them."""

from dataclasses import replace

import numpy as np
import pytest

from raylax.kernels.draws import rules
from raylax.kernels.draws.rules import NO_RULE, StepDraws
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.rules import PLAIN, Row, draws_of, models_rule_of, rule_of

GREEDY, DRAWN = Sampling(temperature=0.0), Sampling(temperature=0.5, top_k=3, seed=-1)
BIASED = Sampling(temperature=0.0, logit_bias=((7, 2.5), (9, -1.0)))
PENALISED = Sampling(presence_penalty=0.5, repetition_penalty=1.25)


def row(sampling: Sampling, position: int = 4, **more: object) -> Row:
    request = replace(Request("r", (1, 2), 9, sampling), **more)  # type: ignore[arg-type]
    adjustment = Adjustment(sampling, 2)
    adjustment.tell([1, 2, 5, 5])
    return Row(models_rule_of(request, rule_of(request)), position, adjustment)


def told(*rows: Row) -> StepDraws:
    draws = draws_of(rows)
    assert draws is not None
    return draws


def test_of_greedy_answers_nothing_is_told() -> None:
    """Their largest logits are there anyway, and a vector is no draw."""
    assert draws_of([row(GREEDY), row(DRAWN, embed=True)]) is None
    assert draws_of([]) is None


def test_a_rule_says_all_that_a_draw_depends_on() -> None:
    draws = told(row(GREEDY), row(DRAWN, 6, choice=2), row(PENALISED, 8))

    rules = draws.rules
    assert rules["position"].tolist() == [NO_RULE, 6, 8]
    assert rules["scale"].tolist() == [0.0, np.float32(2 / np.log(2)), np.float32(1 / np.log(2))]
    assert rules["top_k"].tolist() == [0, 3, 0]
    assert rules["seed"].tolist() == [0, 2**64 - 1, 0]
    assert rules["choice"].tolist() == [0, 2, 0]
    assert rules["repetition"].tolist() == [1.0, 1.0, 1.25]
    assert rules["presence"].tolist() == [0.0, 0.0, 0.5]
    assert rules["changes"].tolist() == [0, 0, 3]
    assert draws.ids.tolist() == [1, 2, 5]
    assert draws.counts.tolist() == [0, 0, 2]


def test_changes_lie_row_after_row() -> None:
    draws = told(row(BIASED), row(DRAWN), row(BIASED))

    assert draws.rules["changes"].tolist() == [2, 0, 2]
    assert draws.ids.tolist() == [7, 9, 7, 9]
    assert draws.biases.tolist() == [2.5, -1.0, 2.5, -1.0]
    assert draws.counts.tolist() == [-1] * 4


@pytest.mark.parametrize(
    "one, is_told",
    [
        (row(DRAWN), True),
        (row(replace(DRAWN, top_logprobs=3)), True),
        (row(replace(BIASED, top_logprobs=0)), False),
        (row(DRAWN, choice=2**31), False),
        (row(DRAWN, embed=True), False),
        (row(replace(DRAWN, top_k=2**40)), True),
    ],
    ids=("drawn", "logprobs", "logprobs_of_changed", "choice", "vector", "top_k"),
)
def test_who_is_drawn_from_logits_has_no_rule(one: Row, is_told: bool) -> None:
    """Log-probabilities are of logits that nobody has changed, and a kernel's numbers have ends."""
    assert (told(row(DRAWN), one).rules["position"] >= 0).tolist() == [True, is_told]


def test_a_step_changes_so_many_logits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes after them has no rule; who changes fewer may still have one."""
    monkeypatch.setattr("raylax.worker.sampling.rules.MOST_CHANGES", 6)
    draws = told(row(PENALISED), row(BIASED), row(PENALISED), row(DRAWN))

    assert draws.rules["position"].tolist() == [4, 4, NO_RULE, 4]
    assert draws.rules["changes"].tolist() == [3, 2, 0, 0]
    assert draws.rules[2].tobytes() == PLAIN
    assert len(draws.ids) == 5 <= rules.MOST_CHANGES
