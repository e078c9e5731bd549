"""Drafting token by token: one step of a model for each token of the drafts of all sequences.

The model that drafts has pages of its own, as many as the engine, and finds its keys and values by
the engine's page numbers: what it has computed for a page that others share, it has for all of
them. Behind the pages that a sequence has so far, drafts go into spare pages of its seat, since
nobody knows yet which of them will be kept.
"""

import time
from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from raylax.kernels.model import Floats, StepBatch, StepOutput
from raylax.proto.pages import PAGE_SIZE, pages_for
from raylax.proto.vocabulary import StepTime
from raylax.worker.config import MOST_DRAFTED
from raylax.worker.sampling.sampler import Sampler, single_threaded
from raylax.worker.scheduling.drafting.base import (
    Seen,
    guessing,
    likely_tokens,
    others,
    proposal_of,
)
from raylax.worker.scheduling.pace.step_time import StepTimeModel
from raylax.worker.scheduling.sequence import Sequence, ints

SPARE = pages_for(MOST_DRAFTED + 1)
"""Pages of a seat, for drafts behind a sequence's own pages: for its last token and all drafted
ones but the last, if a page begins with the first of them."""


class ChainModel(Protocol):
    """A model that drafts: what it reads of a sequence, and its steps. Its input number i is the
    token i + `shift`, which the feature of token i stands beside if it wants features."""

    shift: int
    longest: int
    """Inputs that a sequence may have."""
    step_tokens: int
    """Inputs that a step holds."""
    reads: bool
    """Whether it wants features."""

    @property
    def draws(self) -> int:
        """Tokens that it has if it draws by rules; 0: it draws none."""
        ...

    @property
    def vocab(self) -> int:
        """Tokens that it may name."""
        ...

    def first(self, one: Sequence) -> int:
        """The first input of a sequence that can still be had."""
        ...

    def features(self, one: Sequence, first: int) -> Floats | None:
        """[inputs, hidden]: those of a sequence's inputs from `first` on."""
        ...

    def step(self, batch: StepBatch, features: Floats | None) -> StepOutput:
        """What follows, in the engine's token ids; `hidden`: the features of what is drawn."""
        ...

    def follow(self, seen: Several[Seen]) -> None:
        """A step of the engine was run, and is committed next."""
        ...


@dataclass(slots=True)
class Standing:
    """What is kept of a sequence while it is in the engine."""

    known: int = 0
    """Inputs whose keys and values lie in its pages."""
    start: int = 0
    """The first of those, where a page begins: what comes before cannot be had."""
    tail: list[int] = field(default_factory=list)
    """Inputs that lie there behind those, if they come true."""


@dataclass(slots=True)
class Run:
    """A sequence while it is drafted for."""

    one: Sequence
    left: int
    """Tokens to draft."""
    spare: range
    """Its seat's pages."""
    start: int
    at: int
    """Inputs that are computed."""
    tokens: list[int]
    """Inputs that are not."""
    features: Floats | None

    def page(self, index: int) -> int:
        """The page of so many inputs: the sequence's own, or behind those one of its seat."""
        past = index - len(self.one.pages)
        return self.one.pages[index] if past < 0 else self.spare[past]

    def take(self, count: int) -> tuple[list[int], Floats | None]:
        """The next inputs, which are computed now."""
        tokens, features = self.tokens[:count], self.features
        self.tokens, self.at = self.tokens[count:], self.at + count
        if features is not None:
            self.features, features = features[count:], features[:count]
        return tokens, features


@dataclass
class Chain:
    """Drafts with steps of a model, for as many sequences at once as the engine has seats."""

    model: ChainModel
    pages: int
    """Of the engine; the model has SPARE more for each seat."""
    sampler: Sampler = field(default_factory=single_threaded)
    clock: Callable[[], float] = time.perf_counter
    width: int = 1
    """Tokens that are proposed for the first position of a draft."""
    _times: StepTimeModel = field(default_factory=StepTimeModel)
    _contents: dict[int, bytes] = field(default_factory=dict)
    """What pages that are full hold, as far as it was computed here."""
    most = MOST_DRAFTED

    @property
    def reads(self) -> bool:
        return self.model.reads

    @property
    def time(self) -> StepTime:
        return self._times.value

    def behind(self, one: Sequence) -> int | None:
        inputs = len(one.tokens) - self.model.shift
        if inputs + MOST_DRAFTED > self.model.longest:
            return None
        standing = self._standing(one)
        return inputs - standing.known - 1 if inputs > standing.known else None

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> None:
        runs = [self._begin(seat, one, count) for seat, (one, count) in enumerate(wanted)]
        while active := [run for run in runs if run.left]:
            self._step(active)

    def follow(self, seen: Several[Seen], output: StepOutput) -> None:
        self.model.follow(seen)

    def _begin(self, seat: int, one: Sequence, count: int) -> Run:
        standing, shift, first = self._standing(one), self.model.shift, self.pages + seat * SPARE
        tokens = one.tokens[standing.known + shift :].tolist()
        features = self.model.features(one, standing.known)
        spare = range(first, first + SPARE)
        return Run(one, count, spare, standing.start, standing.known, tokens, features)

    def _step(self, runs: list[Run]) -> None:
        """A step of the model: for each sequence one input at least, and as many as it holds."""
        left, counts = self.model.step_tokens - len(runs), list[int]()
        for run in runs:
            counts.append(min(len(run.tokens), 1 + left))
            left -= counts[-1] - 1
        done = [run for run, count in zip(runs, counts, strict=True) if count == len(run.tokens)]
        work = sum(counts) - len(runs), len(runs), sum([run.at for run in runs])
        begun = self.clock()
        batch, features = laid_out(runs, counts)
        some, draws = [run.one for run in done], self.model.draws
        if draws:
            batch = batch._replace(draws=guessing(some, draws))
        output = self.model.step(batch, features)
        tokens = likely_tokens(some, output, self.sampler, bool(draws))
        for row, (run, token) in enumerate(zip(done, tokens, strict=True)):
            self._go_on(run, token, output, row)
        self._times.learn(*work, self.clock() - begun)

    def _go_on(self, run: Run, token: int | None, output: StepOutput, row: int) -> None:
        """With a token of a draft that is drawn as the engine would draw it: with the same noise,
        so that it is the same wherever the two models agree."""
        one, draft = run.one, proposal_of(run.one).draft
        if not draft:
            self._note(run)
        elif run.features is None and run.at <= len(one.pages) * PAGE_SIZE:
            self._standing(one).tail = list(draft)
        if token is None:
            run.left = 0
            return
        if not draft and self.width > 1:
            proposal_of(one).others += others(
                output.logits[row][: self.model.vocab], token, self.width - 1
            )
        draft.append(token)
        run.left -= 1
        run.tokens = [token]
        if run.features is not None:
            run.features = np.array(output.hidden[row : row + 1])

    def _note(self, run: Run) -> None:
        """All that is certain of a sequence is computed: what of it lies in its own pages stays."""
        one, standing = run.one, self._standing(run.one)
        before, standing.known = standing.known, min(run.at, len(one.pages) * PAGE_SIZE)
        for index in range(before // PAGE_SIZE, len(one.pages)):
            full = (index + 1) * PAGE_SIZE <= standing.known and not standing.start
            if full and (name := self._name(one, index)) is not None:
                self._contents[one.pages[index]] = name
            else:
                self._contents.pop(one.pages[index], None)

    def _standing(self, one: Sequence) -> Standing:
        """Of a sequence: what was computed for it, or for others whose pages it shares, and what
        was drafted and came true."""
        proposal, shift = proposal_of(one), self.model.shift
        standing = proposal.standing
        if not isinstance(standing, Standing):
            proposal.standing = standing = Standing(self._shared(one))
        at = standing.known + shift
        for drafted, token in zip(standing.tail, one.tokens[at : at + MOST_DRAFTED], strict=False):
            if drafted != token:
                break
            standing.known += 1
        standing.tail.clear()
        if standing.known < (first := self.model.first(one)):
            standing.start = standing.known = pages_for(first) * PAGE_SIZE
        return standing

    def _shared(self, one: Sequence) -> int:
        """Inputs that were computed for others, in the pages that a sequence has now."""
        count = 0
        for index, page in enumerate(one.pages):
            if page not in self._contents or self._contents[page] != self._name(one, index):
                break
            count += PAGE_SIZE
        return min(count, len(one.tokens) - self.model.shift - 1)

    def _name(self, one: Sequence, index: int) -> bytes | None:
        """Of what a full page of a sequence holds: the inputs up to its end."""
        end = (index + 1) * PAGE_SIZE
        if end + self.model.shift > len(one.tokens):
            return None
        return one.name_pages(end)[index] + one.tokens[end : end + self.model.shift].tobytes()


def laid_out(runs: list[Run], counts: list[int]) -> tuple[StepBatch, Floats | None]:
    """A step of these, in which each computes so many of its inputs; a row for each that has no
    more."""
    tokens, positions, slots, table = ints(), ints(), ints(), ints()
    starts, lengths, rows = ints([0]), ints(), ints()
    features, tables = list[Floats](), list[list[int]]()
    for run, count in zip(runs, counts, strict=True):
        places = range(run.at, run.at + count)
        inputs, beside = run.take(count)
        tokens.extend(inputs)
        positions.extend(places)
        slots.extend([run.page(at // PAGE_SIZE) * PAGE_SIZE + at % PAGE_SIZE for at in places])
        starts.append(len(tokens))
        lengths.append(run.at - run.start)
        tables.append([run.page(i) for i in range(run.start // PAGE_SIZE, pages_for(run.at))])
        if not run.tokens:
            rows.append(len(tokens) - 1)
        if beside is not None:
            features.append(beside)
    width = max(map(len, tables))
    for pages in tables:
        table.extend(pages + [0] * (width - len(pages)))
    batch = StepBatch(
        np.asarray(tokens),
        np.asarray(positions),
        np.asarray(slots),
        np.asarray(starts),
        np.asarray(lengths),
        np.asarray(table).reshape(len(runs), width),
        np.asarray(rows),
    )
    return batch, np.concatenate(features) if features else None
