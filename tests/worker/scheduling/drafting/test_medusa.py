"""Heads that each say one token more."""

import numpy as np

from raylax.kernels.draws.rules import StepDraws
from raylax.kernels.model import Floats, StepOutput
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.sampler import single_threaded
from raylax.worker.scheduling.drafting.base import Seen, proposal_of
from raylax.worker.scheduling.drafting.medusa import MedusaDrafter
from raylax.worker.scheduling.sequence import Sequence
from tests.support.outputs import saying

VOCAB = 11


class Counting:
    """Head k says what the row counts, and k + 1 more; `silent`: the first to say no number."""

    heads, draws, silent = 3, 0, 99

    def begin(self, hidden: Floats) -> None:
        self.counts = hidden[:, 0].astype(int)

    def step(self, head: int, rows: list[int], draws: StepDraws | None) -> StepOutput:
        said = saying((self.counts[rows] + head + 1) % VOCAB, VOCAB)
        if head < self.silent:
            return said
        nothing = np.full(len(rows), np.nan, np.float32)
        return said._replace(logits=np.full_like(said.logits, np.nan), largest=nothing)


def sequence(at: float) -> Sequence:
    one = Sequence(Request("a", (1, 2), 50, Sampling(temperature=0.0)))
    proposal_of(one).streams = np.array([at, 0], np.float32)
    return one


def drafter() -> MedusaDrafter:
    return MedusaDrafter(Counting(), single_threaded())


def test_each_head_says_a_token_of_each_draft() -> None:
    """As many of them as are wanted of each."""
    some = [sequence(3), sequence(5), sequence(0)]
    drafter().draft(list(zip(some, (3, 1, 2), strict=True)))

    assert [proposal_of(one).draft for one in some] == [[4, 5, 6], [6], [1, 2]]


def test_the_first_head_says_what_else_may_follow() -> None:
    """Where trees are asked for."""
    made, one = drafter(), sequence(3)
    made.width = 3
    made.draft([(one, 2)])

    assert proposal_of(one).draft == [4, 5]
    assert len(set(proposal_of(one).others) - {4}) == 2


def test_a_draft_ends_where_a_head_says_no_number() -> None:
    made, one = drafter(), sequence(3)
    assert isinstance(made.heads, Counting)
    made.heads.silent = 1
    made.draft([(one, 3)])

    assert proposal_of(one).draft == [4]


def test_it_goes_on_from_the_row_of_the_last_token() -> None:
    """That counts. Who has none yet is not drafted for."""
    made, one = drafter(), Sequence(Request("a", (1,), 9, Sampling(temperature=0.0)))
    output = saying([1, 2, 3], VOCAB)
    output.hidden[:, 0] = [7, 8, 9]
    assert made.behind(one) is None
    made.follow([Seen(one, 0, 2, 1)], output)
    assert made.behind(one) == 0
    made.draft([(one, 1)])

    assert proposal_of(one).draft == [9]
