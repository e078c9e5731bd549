"""A model on a GPU draws what an engine on a CPU would draw from its logits."""

from time import perf_counter

import numpy as np
import pytest

from raylax.kernels.cuda.build import load_on_device
from raylax.kernels.cuda.step.inputs import TURNS
from raylax.kernels.cuda.step.runner import taken
from raylax.kernels.draws.rules import StepDraws
from raylax.kernels.model import PendingStep, StepBatch, StepOutput
from raylax.proto.vocabulary import Request, Sampling, TokenLogprobs
from raylax.worker.config import Sizes
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.ranks.executor import SingleRank
from raylax.worker.ranks.rank import Rank
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.rules import Row, draws_of, models_rule_of, rule_of
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.chain import SPARE
from raylax.worker.scheduling.drafting.small_draft import SmallModel
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.batches import Piece, batch_of
from tests.support.cuda_fake.child import on_fake_device
from tests.support.cuda_fake.device import installed
from tests.support.cuda_first_layers import PAGES, model, on_gpu, options
from tests.support.drafting import AlwaysRight, Knowing
from tests.support.draws import drawn_after, log_probabilities_of

PROMPT = (3, 5, 8, 5)
ANSWER = (9, 3, 9)
WAYS = (
    Sampling(temperature=0.0),
    Sampling(temperature=1.5, seed=7),
    Sampling(temperature=0.9, top_k=5, seed=-1),
    Sampling(temperature=1.2, top_p=0.8, seed=2**64 + 3),
    Sampling(temperature=2.0, min_p=0.1, seed=5),
    Sampling(temperature=0.7, top_k=40, top_p=0.9, min_p=0.02, seed=11),
    Sampling(temperature=0.0, logit_bias=((7, 90.0), (9, -100.0))),
    Sampling(temperature=1.0, logit_bias=((9, 3.0), (17, 2.5)), seed=3),
    Sampling(temperature=1.3, presence_penalty=1.5, frequency_penalty=0.5, seed=4),
    Sampling(temperature=1.1, repetition_penalty=1.8, logit_bias=((3, 4.0),), seed=6),
)

HOT = {
    "greedy": Sampling(temperature=0.0),
    "drawn": Sampling(temperature=9.0, seed=1),
    "few": Sampling(temperature=12.0, top_k=300, top_p=0.95, seed=2),
}
"""For a model that is rather sure."""


def row_of(sampling: Sampling, choice: int = 1) -> Row:
    request = Request("r", PROMPT, 99, sampling, choice=choice)
    adjustment = Adjustment(sampling, len(PROMPT))
    adjustment.tell([*PROMPT, *ANSWER])
    return Row(models_rule_of(request, rule_of(request)), len(ANSWER), adjustment)


def batch(first: int, end: int, draws: StepDraws | None = None) -> StepBatch:
    """A new token for each of the ways, in a page of its own."""
    pieces = [Piece([100 + i], 0, [i]) for i in range(first, end)]
    return batch_of(pieces)._replace(draws=draws)


def drawn(first: int, end: int) -> list[int]:
    draws = draws_of([row_of(way) for way in WAYS[first:end]])
    return [int(one) for one in on_gpu().step(batch(first, end, draws)).drawn]


@on_fake_device
def test_every_way_to_draw_in_one_batch_and_in_another() -> None:
    """With bias and penalties, which change the logits where they lie. The second time the step is
    one replayed."""
    logits = np.array(on_gpu().step(batch(0, len(WAYS))).logits)
    said = [*PROMPT, *ANSWER]
    expected = [
        drawn_after(values, way, 1, said, len(PROMPT))
        for values, way in zip(logits, WAYS, strict=True)
    ]

    assert len(set(expected)) > 3
    assert drawn(0, len(WAYS)) == expected
    assert drawn(0, len(WAYS)) == expected
    assert drawn(6, 10) == expected[6:]


@on_fake_device
def test_a_step_knows_nothing_of_the_rules_of_the_one_before() -> None:
    """Rows without one have their largest logit, unchanged."""
    plain = on_gpu().step(batch(0, 4))
    expected, logits = plain.drawn.tolist(), np.array(plain.logits)
    for _ in range(TURNS):
        drawn(6, 10)

    output = on_gpu().step(batch(0, 4))

    assert output.drawn.tolist() == expected == logits.argmax(1).tolist()
    assert np.array_equal(output.logits, logits)
    assert output.largest.tolist() == logits.max(1).tolist()


@on_fake_device
def test_a_step_takes_the_tokens_of_one_that_nobody_has_read() -> None:
    """On the device, also where rows have gone. What the first one drew is still there when the
    second is under way."""
    ways = range(4)
    draws = draws_of([row_of(WAYS[i]) for i in ways])
    first = on_gpu().step(batch(0, 4, draws)).drawn
    left = [i for i in ways if i != 1]
    again = draws_of([row_of(WAYS[i])._replace(position=4) for i in left])
    known = batch_of([Piece([int(first[i])], 1, [i]) for i in left])._replace(draws=again)
    expected = on_gpu().step(known).drawn

    before = on_gpu().submit(batch(0, 4, draws))
    following = known._replace(tokens=np.array([-1 - i for i in left], np.int32))
    behind = on_gpu().submit(following)

    assert [before.is_last, behind.is_last] == [False, True]
    assert before.output().drawn.tolist() == first.tolist()
    assert behind.output().drawn.tolist() == expected.tolist()


def answers(made: Batch, stop: int | None = None) -> dict[str, list[int]]:
    """What requests get that draw in three ways; the last of them stops at this token."""
    said = dict[str, list[int]]()
    for id, sampling in HOT.items():
        stops = frozenset({stop} if stop is not None and id == "few" else ())
        made.roster.add(Sequence(Request(id, (3,), 4, sampling, stop_token_ids=stops)))
        said[id] = []
    while not made.roster.idle:
        for delta in made.step():
            said[delta.request_id] += delta.token_ids
    return said


@on_fake_device
def test_an_engine_says_the_same_a_step_ahead() -> None:
    """As one that waits for the logits of each step, and draws from them."""
    executor, limits = SingleRank(Rank(on_gpu()), Sizes(4, 64, 256, 16, PAGES)), StepLimits(64, 4)
    ahead = list[int]()

    def submit(plan: StepPlan) -> PendingStep:
        assert executor.submit is not None
        ahead.append(int((plan.batch.tokens < 0).sum()))
        return executor.submit(plan)

    expected = answers(Batch(Roster(PagePool(PAGES)), limits, executor.run))
    first, stop, *_ = expected["few"]
    expected["few"] = [first]
    made = Batch(Roster(PagePool(PAGES)), limits, executor.run, model_draws=True, submit=submit)

    assert stop != first
    assert answers(made, stop) == expected
    assert ahead == [0, 3, 3, 2], "the third computes a token more than was wanted"
    executor.close()


def drafting(proposer: Proposer) -> Batch:
    """An engine that is given drafts, and steps ahead where there are none."""
    executor = SingleRank(Rank(on_gpu()), Sizes(4, 64, 256, 16, PAGES, 16))
    roster = Roster(PagePool(PAGES))
    made = Batch(roster, StepLimits(64, 4, 16), executor.run, model_draws=True)
    made.submit, made.proposer = executor.submit, proposer
    return made


def undrafted() -> dict[str, list[int]]:
    """What an engine says that draws by itself, a token a step."""
    return answers(Batch(Roster(PagePool(PAGES)), StepLimits(64, 4), on_host))


def on_host(plan: StepPlan) -> StepOutput:
    return on_gpu().step(plan.batch)


@on_fake_device
def test_an_engine_says_the_same_with_drafts() -> None:
    """Right at first, then wrong; and wrong at once, with the right token beside."""
    expected, vocab = undrafted(), on_gpu().spec.vocab
    for right in (0, 2):
        made = drafting(Knowing(expected, right, vocab))

        assert answers(made) == expected
        assert made.counters.accepted_tokens >= len(expected)


@on_fake_device
def test_a_model_on_the_device_drafts_what_is_drawn() -> None:
    """The same one, by pages of its own: it draws with the engine's noise."""
    expected = undrafted()
    small = load_on_device(model(), options("cuda:0"), PAGES + 4 * SPARE)
    made = drafting(AlwaysRight(SmallModel(small, small.spec.vocab), PAGES, 2))

    assert answers(made) == expected
    assert made.counters.accepted_tokens >= len(expected)


@on_fake_device
def test_a_prompt_is_scored_by_logits_that_nobody_changed() -> None:
    """Several tokens in a step, beside others whose logits are changed where they lie."""
    prompt, changed = (3, 5, 8, 5, 9), Sampling(temperature=0.0, logit_bias=((5, 90.0),))
    roster = Roster(PagePool(PAGES))
    made = Batch(roster, StepLimits(64, 4, 16), on_host, model_draws=True)
    told = Sampling(temperature=0.0, top_logprobs=2)
    roster.add(Sequence(Request("changed", (7,), 3, changed)))
    roster.add(Sequence(Request("scored", prompt, 1, told, score=True)))
    found = list[TokenLogprobs]()
    while not roster.idle:
        for delta in made.step():
            found += delta.prompt_logprobs

    batch = batch_of([Piece(list(prompt), 0, [0])])
    rows = on_gpu().step(batch._replace(rows=np.arange(5, dtype=np.int32))).logits
    assert made.counters.steps == 3
    assert found == [log_probabilities_of(rows[i], prompt[i + 1], 2) for i in range(4)]


@pytest.mark.parametrize(
    "tokens, pieces",
    [
        ([5, 7], []),
        ([-1, -2, -3], [(0, 0, 3)]),
        ([-1, -3, -4], [(0, 0, 1), (1, 2, 2)]),
        ([9, -2, 9, -3], [(1, 1, 1), (3, 2, 1)]),
        ([-2, -1], [(0, 1, 1), (1, 0, 1)]),
    ],
)
def test_tokens_are_taken_in_few_pieces(tokens: list[int], pieces: list[tuple[int, ...]]) -> None:
    assert taken(np.array(tokens, np.int32)) == pieces


@on_fake_device
def test_the_host_is_no_slower_for_rules() -> None:
    """Launches stubbed, as in `test_model.py`."""
    device, _ = installed()
    rows = [row_of(WAYS[1 + i % 5]) for i in range(64)]
    pieces = [Piece([7], 16 + i % 8, [i % 24, 23]) for i in range(64)]
    device.stubbed = True
    try:
        took = []
        for _ in range(50):
            began = perf_counter()
            on_gpu().step(batch_of(pieces)._replace(draws=draws_of(rows)))
            took.append(perf_counter() - began)
    finally:
        device.stubbed = False

    assert min(took) < 0.002, "bench/gpu says how long it takes; here only that it is no loop"
