"""Steps that verify drafts, with a model that counts by ten: after token t comes t + 1, after 9
comes 0. So a text repeats itself, and what is drafted of it is right until it counts on."""

from collections.abc import Sequence as Several
from itertools import count as ticks

import numpy as np
import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Fault, Finish, Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.drafting.rounds import Rounds
from raylax.worker.scheduling.outcomes import StepFailed
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from raylax.worker.speculation.proposals import Proposal, Speculation
from tests.support.outputs import saying, spoiled

PROMPT = (1, 2, 3)
GREEDY = Sampling(temperature=0.0)


class Drafts(Speculation):
    """Proposes what a test says, whatever has been said; once."""

    def __init__(self, *tokens: int) -> None:
        super().__init__()
        self.tokens = list(tokens)

    def propose(self, one: Proposal, tokens: Several[int], most: int, least: float) -> None:
        one.draft, self.tokens, one.likely = self.tokens[: max(0, most)], [], 1.0


def count(plan: StepPlan) -> StepOutput:
    return saying((plan.batch.tokens[plan.batch.rows] + 1) % 10, 12)


def batch(*drafted: int, pages: int = 8, tokens: int = 32) -> Batch:
    made = Batch(Roster(PagePool(pages)), StepLimits(tokens, 4, 16), count)
    made.proposer = Lookup(Drafts(*drafted))
    return made


def second(
    made: Batch, max_tokens: int = 20, sampling: Sampling = GREEDY, *stops: int
) -> list[Delta]:
    """What the step behind the prompt's says, the first that verifies a draft."""
    request = Request("a", PROMPT, max_tokens, sampling, stop_token_ids=frozenset(stops))
    made.roster.add(Sequence(request))
    assert [delta.token_ids for delta in made.step()] == [(4,)]
    return made.step()


def tokens(deltas: list[Delta]) -> list[int]:
    return [token for delta in deltas for token in delta.token_ids]


@pytest.mark.parametrize(
    ("drafted", "want"),
    [
        ((), [5]),
        ((7,), [5]),
        ((5,), [5, 6]),
        ((5, 6, 7), [5, 6, 7, 8]),
        ((5, 6, 1, 8), [5, 6, 7]),
        ((1, 6, 7), [5]),
    ],
)
def test_a_draft_is_accepted_as_far_as_it_is_right(
    drafted: tuple[int, ...], want: list[int]
) -> None:
    """And one token comes behind it, as of every step. They are said one by one."""
    made = batch(*drafted)
    said = second(made)

    assert tokens(said) == want
    assert all(len(delta.token_ids) == 1 and delta.finish is None for delta in said)
    counted = made.counters.drafted_tokens, made.counters.accepted_tokens
    assert counted == (len(drafted), len(want) - 1)
    (one,) = made.roster.running.values()
    assert one.pending == 1
    assert tokens(made.step()) == [(want[-1] + 1) % 10]


def test_an_answer_ends_at_the_stop_token_in_a_draft() -> None:
    *said, end = second(batch(5, 6, 7, 8), 20, GREEDY, 7)

    assert (tokens(said), end.token_ids) == ([5, 6], ())
    assert (end.finish, end.accepted) == (Finish.STOP, 2)


def test_an_answer_ends_at_its_length() -> None:
    """The draft, and the token that comes behind it, are no longer."""
    made = batch(5, 6, 7, 8, 9)
    *said, end = second(made, 4)

    assert (tokens(said), end.token_ids) == ([5, 6], (7,))
    assert (end.finish, end.accepted) == (Finish.LENGTH, 2)
    assert made.roster.idle
    assert made.roster.pool.used == 0


def test_every_token_has_its_log_probabilities() -> None:
    said = second(batch(5, 6, 1), 20, Sampling(temperature=0.0, top_logprobs=2))

    assert [delta.logprobs[0].top[0][0] for delta in said] == tokens(said) == [5, 6, 7]


def test_penalties_know_the_tokens_of_the_draft() -> None:
    """A token that was drafted and drawn is penalised where the next one is drawn."""
    harsh = Sampling(temperature=0.0, presence_penalty=2.0)
    made, plain = batch(5, 6, 6), batch()
    for one in (made, plain):
        one.run = lambda plan: saying(np.minimum(plan.batch.tokens[plan.batch.rows] + 1, 6), 12)
    said, want = tokens(second(made, 20, harsh)), tokens(second(plain, 20, harsh))
    while len(want) < len(said):
        want += tokens(plain.step())

    assert said == want
    assert said[:2] == [5, 6]
    assert said[2] != 6


def test_what_is_not_finite_behind_a_draft_ends_the_answer_in_its_turn() -> None:
    """After the tokens that were drawn before it."""
    made = batch(5, 6, 7)
    made.run = lambda plan: spoiled(count(plan), plan.batch.tokens[plan.batch.rows] == 6)
    assert tokens(second(made)) == [5, 6]
    (end,) = made.step()
    assert (end.finish, end.fault) == (Finish.ERROR, Fault.REQUEST)
    assert "after 3 tokens of the answer" in (end.error or "")


def test_only_what_was_verified_is_found_by_others() -> None:
    """Pages that a wrong draft filled are nobody's beginning."""
    made = batch(*range(5, 10), 0, 0, *range(9))
    second(made)
    made.roster.remove("a")

    assert made.roster.pool.cached == 0
    made = batch(*range(5, 10), *range(9))
    second(made)
    made.roster.remove("a")
    assert made.roster.pool.cached == 1


def test_a_draft_takes_no_page_from_others() -> None:
    """It is as long as the page is that its sequence has: the other one is taken."""
    made = batch(*range(5, 10), *range(10), pages=2)
    for id in ("a", "b"):
        made.roster.add(Sequence(Request(id, PROMPT, 20, GREEDY)))
    made.step()
    said = made.step()

    assert tokens([one for one in said if one.request_id == "a"]) == [*range(5, 10), *range(8)]
    assert tokens([one for one in said if one.request_id == "b"]) == [5]


def test_a_draft_takes_no_token_of_a_step_from_others() -> None:
    made = batch(*range(5, 10), tokens=8)
    made.roster.add(Sequence(Request("a", PROMPT, 20, GREEDY)))
    made.step()
    made.roster.add(Sequence(Request("long", (1, 2, 3, 4, 5, 1, 2), 20, GREEDY)))
    said = {delta.request_id: delta.token_ids for delta in made.step()}

    assert said == {"a": (5,), "long": (3,)}


def test_who_is_suspect_is_tried_without_a_draft() -> None:
    """A step that failed says nothing of drafts: they are made again when it is over."""
    made, failures = batch(5, 6, 7), [1]

    def run(plan: StepPlan) -> StepOutput:
        if len(plan.batch.tokens) > 2 and failures and made.counters.steps == 2:
            raise FloatingPointError(failures.pop())
        return count(plan)

    made.run = run
    for id in ("a", "b"):
        made.roster.add(Sequence(Request(id, PROMPT, 3, GREEDY)))
    said = dict[str, list[int]](a=[], b=[])
    while not made.roster.idle:
        try:
            for delta in made.step():
                said[delta.request_id] += delta.token_ids
        except StepFailed as failed:
            assert failed.request_ids == []

    assert said == {"a": [4, 5, 6], "b": [4, 5, 6]}
    assert not failures


def test_an_embedding_has_no_draft() -> None:
    made = batch(5, 6)
    made.roster.add(Sequence(Request("v", (*PROMPT,), 1, GREEDY, embed=True)))
    (delta,) = made.step()

    assert delta.embedding
    assert made.counters.drafts == 0


def test_a_text_that_repeats_itself_needs_fewer_steps() -> None:
    """Once ten tokens have come, all that follows is known; steps get dearer meanwhile, as the
    clocks say."""
    roster = Roster(PagePool(64), ticks(0.0, 0.01).__next__)
    made = Batch(roster, StepLimits(64, 4, 16), count)
    made.proposer = Lookup(rounds=Rounds(ticks(0.0, 0.01).__next__))
    made.roster.add(Sequence(Request("a", PROMPT, 200, GREEDY)))
    said = list[int]()
    while not made.roster.idle:
        said += tokens(made.step())

    assert said == [(4 + i) % 10 for i in range(200)]
    assert made.counters.steps < 50
    assert made.counters.accepted_tokens > 0.95 * made.counters.drafted_tokens
