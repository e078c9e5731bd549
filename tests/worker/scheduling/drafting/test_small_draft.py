"""A small model that draws by itself, as those on GPUs do: it drafts what its engine would draw."""

from dataclasses import dataclass, field, replace

import pytest

from raylax.kernels.draws.rules import NO_RULE, StepDraws
from raylax.kernels.model import Model, StepBatch, StepOutput
from raylax.kernels.options import ModelOptions
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.drafting.base import proposal_of
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.small_draft import SmallModel
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence, ints
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.cuda_models import MODELS
from tests.support.drawing import VOCAB, drawn, undrawn

PAGES, PROMPT, COUNT = 8, (3, 5, 7), 6
WAYS = {
    "greedy": Sampling(temperature=0.0),
    "drawn": Sampling(temperature=2.0, seed=3),
    "urged": Sampling(temperature=0.5, presence_penalty=-2.0, frequency_penalty=-2.0, seed=4),
    "biased": Sampling(temperature=0.0, logit_bias=((5, 9.0), (VOCAB + 2, 50.0))),
}
"""The last is of a vocabulary that has more tokens."""


@dataclass
class OnADevice:
    """Such a model of VOCAB tokens, and what it was told."""

    spec = replace(MODELS[0][0], vocab=VOCAB)
    options = ModelOptions()
    draws = True
    told: list[StepDraws | None] = field(default_factory=list)

    def step(self, batch: StepBatch) -> StepOutput:
        self.told.append(batch.draws)
        return drawn(StepPlan(0, batch))


def drafted(model: OnADevice, sampling: Sampling, vocab: int) -> list[int]:
    """Behind the prompt, for a model of so many tokens."""
    loaded: Model = model  # type: ignore[assignment]
    chain = Chain(SmallModel(loaded, vocab), PAGES)
    one = Sequence(Request("a", PROMPT, 99, sampling))
    one.computed, one.pages = len(PROMPT) - 1, ints([0])
    chain.draft([(one, COUNT)])
    return proposal_of(one).draft


def said(sampling: Sampling) -> list[int]:
    """By an engine that draws from the same logits, a token a step."""
    batch = Batch(Roster(PagePool(PAGES)), StepLimits(16, 1), undrawn)
    batch.roster.add(Sequence(Request("a", PROMPT, COUNT, sampling)))
    tokens = list[int]()
    while not batch.roster.idle:
        tokens += [token for delta in batch.step() for token in delta.token_ids]
    return tokens


@pytest.mark.parametrize("way", WAYS)
def test_its_draft_is_what_would_be_drawn(way: str) -> None:
    """With the same noise and the same penalties, for the tokens of the draft as well; what is
    changed of tokens that it lacks it is not told."""
    model, sampling = OnADevice(), WAYS[way]
    known = tuple((token, bias) for token, bias in sampling.logit_bias if token < VOCAB)

    assert drafted(model, sampling, VOCAB + 9) == said(replace(sampling, logit_bias=known))
    assert all(draws is None or (draws.ids < VOCAB).all() for draws in model.told)


def test_a_token_that_its_engine_lacks_ends_the_draft() -> None:
    want = said(WAYS["drawn"])
    vocab = want[2]
    assert vocab > max(want[:2])

    assert drafted(OnADevice(), WAYS["drawn"], vocab) == want[:2]


def test_masks_are_no_rule_of_it() -> None:
    """It guesses by the rest; the engine draws what may be drawn."""
    model = OnADevice()
    masked = replace(WAYS["drawn"], min_tokens=4)

    assert drafted(model, masked, VOCAB) == said(WAYS["drawn"])
    assert all(draws is not None and draws.rules["position"][0] != NO_RULE for draws in model.told)
