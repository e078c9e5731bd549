"""Drafts between two steps: who proposes what may follow, and what came of it."""

from collections.abc import Sequence as Several
from typing import NamedTuple, Protocol

import numpy as np

from raylax.kernels.draws.rules import StepDraws
from raylax.kernels.model import Floats, Ints, StepOutput
from raylax.proto.vocabulary import StepTime
from raylax.worker.sampling.rules import PLAIN, Row, draws_of
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.outcomes import Wanted, outcomes_of, result_of
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.speculation.proposals import Proposal


class Seen(NamedTuple):
    """What a step has computed of a sequence, as far as it counts."""

    one: Sequence
    at: int
    """Of the step's tokens, the first that is this one's."""
    kept: int
    """Tokens that count, from that one on."""
    row: int | None
    """Of the output, from which the last token was drawn; None if none was."""


class Proposer(Protocol):
    """Who proposes tokens for the model to verify several in a step. Whatever it proposes changes
    no token (law 1). Used by the engine thread alone."""

    @property
    def rests(self) -> bool:
        """Nothing is proposed for the step that is under way, and should it only decode, nobody
        needs to be told of it."""
        ...

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        """Put into the proposal of each of these, which decode next, what may follow it: nothing,
        where that does not pay. `time`: what steps take. Must not raise."""
        ...

    def awaits(self, decodes: Several[Sequence], time: StepTime) -> bool:
        """Whether these, for whom a step under way draws, may have drafts in the next one: then it
        is not decided before their tokens are known. Must not raise."""
        ...

    def go_on(self, decodes: Several[Sequence]) -> None:
        """A step begins in which these decode, and which was decided ahead, without drafts."""
        ...

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        """Of its draft so many tokens were verified, and the first of them were right."""
        ...

    def learn_branch(self, one: Sequence, right: bool) -> None:
        """The first token of its draft was wrong; one of the others was right, or none of them."""
        ...

    def follow(self, seen: Several[Seen], output: StepOutput | None) -> None:
        """A step was run, and is committed next. None: a device was given the one behind it
        already, and what it has computed is gone but for its draws. Must not raise."""
        ...


def proposal_of(one: Sequence) -> Proposal:
    """What is proposed for a sequence, from now on."""
    if one.proposal is None:
        one.proposal = Proposal()
    return one.proposal


def of_tokens(logits: Floats, tokens: Ints | None, vocab: int) -> Floats:
    """[rows, vocab]: logits of so many tokens, of which these have some; None: all of them."""
    if tokens is None:
        return logits
    whole = np.full((len(logits), vocab), -np.inf, np.float32)
    whole[:, tokens] = logits
    return whole


def room_for_drafts(one: Sequence) -> int:
    """Tokens of a draft that its answer has room for, and one behind them."""
    return one.max_tokens - one.generated - 1


def likely_tokens(
    some: Several[Sequence], output: StepOutput, sampler: Sampler, drawn: bool = False
) -> list[int | None]:
    """What sequences would draw, each from its row of these logits, behind its draft so far; None
    if they are no numbers. `drawn`: by the rules of `guessing`, so what the step has drawn is
    it."""
    rows = [
        Wanted(one, row, list(one.draft), drawn or one.own_rule is PLAIN)
        for row, one in enumerate(some)
    ]
    outcomes = outcomes_of(rows, output, sampler, logprobs=False)
    return [result_of(wanted, output, outcomes.get(wanted.row)).token for wanted in rows]


def guessing(some: Several[Sequence], vocab: int) -> StepDraws | None:
    """How a model that draws, and has so many tokens, is to draw for sequences behind their drafts
    so far: with the engine's noise and penalties. Masks it cannot hear of, which costs drafts and
    changes no token; nor of tokens that it lacks."""
    rows = list[Row]()
    for one in some:
        one.adjustment.tell(one.tokens)
        said = list(one.draft)
        rows.append(Row(one.own_rule, one.generated + len(said), one.adjustment.after(said)))
    draws = draws_of(rows)
    return None if draws is None else draws.within(vocab)


def others(logits: Floats, token: int, count: int) -> list[int]:
    """The likeliest tokens but one, the likeliest first."""
    first = max(0, len(logits) - count - 1)
    likely = np.argpartition(logits, first)[first:]
    ordered = likely[np.argsort(-logits[likely], kind="stable")]
    return [one for one in ordered.tolist() if one != token and np.isfinite(logits[one])][:count]
