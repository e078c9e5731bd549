"""Models that draft, for tests whose models are functions of what they read in their pages."""

from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import numpy as np

from raylax.kernels.heads.base import HeadOutput
from raylax.kernels.model import Floats, StepBatch, StepOutput
from raylax.proto.pages import PAGE_SIZE
from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.drafting.base import Seen, proposal_of, room_for_drafts
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.scheduling.sequence import Sequence
from tests.support.outputs import saying


class SummingModel:
    """Says the sum of all tokens that it reads through a sequence's table, and so is always right
    for a model that does the same, if it reads what is there."""

    shift, longest, step_tokens, draws, reads = 0, 10_000, 24, 0, False

    def __init__(self, pages: int, vocab: int) -> None:
        self.slots, self.vocab = np.full(pages * PAGE_SIZE, -1), vocab
        self.steps = 0

    def first(self, one: Sequence) -> int:
        return 0

    def features(self, one: Sequence, first: int) -> Floats | None:
        return None

    def follow(self, seen: Several[Seen]) -> None:
        """It reads its pages."""

    def step(self, batch: StepBatch, features: Floats | None) -> StepOutput:
        self.steps += 1
        slots, starts = batch.slots, batch.query_starts
        pairs = zip(slots.tolist(), batch.tokens.tolist(), strict=True)
        assert len(set(pairs)) == len(set(slots.tolist())), "two tokens in one slot"
        assert len(batch.tokens) <= self.step_tokens
        self.slots[slots] = batch.tokens
        said = []
        for row in batch.rows:
            one = int(np.searchsorted(starts, row, "right")) - 1
            at = np.arange(batch.kv_lengths[one] - (starts[one + 1] - 1 - row))
            pages = batch.page_table[one, at // PAGE_SIZE]
            read = self.slots[pages * PAGE_SIZE + at % PAGE_SIZE]
            assert len(read) == batch.positions[row] + 1 and (read >= 0).all()
            said.append(int(read.sum()) % self.vocab)
        return saying(said, self.vocab)


class SummingHead:
    """The same as a head: the feature of a token is the sum up to it."""

    taps: tuple[int, ...] = (1,)
    page_bytes, draws = 0, False

    def __init__(self, pages: int, vocab: int) -> None:
        self.pages, self.vocab = pages, vocab
        self.slots = np.full(pages * PAGE_SIZE, -1)

    def features(self, tapped: Floats) -> Floats:
        assert len(tapped) <= SummingModel.step_tokens
        return tapped.copy()

    def step(self, batch: StepBatch, features: Floats) -> HeadOutput:
        self.slots[batch.slots] = batch.tokens
        for one, length in enumerate(batch.kv_lengths):
            at = np.arange(length)
            pages = batch.page_table[one, at // PAGE_SIZE]
            assert (self.slots[pages * PAGE_SIZE + at % PAGE_SIZE] >= 0).all()
        sums = features[batch.rows, 0] + batch.tokens[batch.rows]
        said = saying(sums.astype(np.int64) % self.vocab, self.vocab)
        hidden = sums[:, None].astype(np.float32)
        return HeadOutput(said.logits, None, said.drawn, said.largest, hidden)

    def read_page(self, page: int) -> bytes:
        return b""

    def write_page(self, page: int, content: bytes) -> None:
        """There is nothing to keep."""


class AlwaysRight(ModelProposer):
    """Holds its model to drafts that are what is drawn."""

    def __init__(self, model: Any, pages: int, length: int) -> None:
        super().__init__(Chain(model, pages), length)

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        super().learn(one, drafted, right)
        assert self.drafter is not None
        assert right == drafted or one.draft[right] in one.request.stop_token_ids


@dataclass
class Knowing:
    """Drafts so many tokens of answers that are known, and then a wrong one; if none of them, the
    right one beside it."""

    answers: Mapping[str, Several[int]]
    right: int
    vocab: int
    rests: bool = False

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        for one in decodes:
            proposal, known = proposal_of(one), self.answers[one.request.id]
            proposal.clear()
            follows = list(known[one.generated : one.max_tokens])
            wrong = [(token + 1) % self.vocab for token in follows[self.right : self.right + 1]]
            proposal.draft = [*follows[: self.right], *wrong][: room_for_drafts(one)]
            proposal.likely = 1.0
            if proposal.draft and not self.right:
                proposal.others = [follows[0]]

    def awaits(self, decodes: Several[Sequence], time: StepTime) -> bool:
        return True

    def go_on(self, decodes: Several[Sequence]) -> None:
        raise AssertionError("no step was to be decided ahead")

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        assert right == min(drafted, self.right)

    def learn_branch(self, one: Sequence, right: bool) -> None:
        assert right

    def follow(self, seen: Several[Seen], output: StepOutput | None) -> None:
        """It knows what will be said."""


class RightBeside(ModelProposer):
    """Drafts what is wrong, and says what is right beside it."""

    def __init__(self, model: SummingModel, pages: int, length: int) -> None:
        super().__init__(Chain(model, pages), length, width=3)
        self.vocab = model.vocab

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        super().propose(decodes, time)
        for one in decodes:
            if draft := proposal_of(one).draft:
                wrong, too = [(draft[0] + i) % self.vocab for i in (1, 2)]
                proposal_of(one).others, draft[0] = [draft[0], too], wrong

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        assert self.drafter is not None and right == 0

    def learn_branch(self, one: Sequence, right: bool) -> None:
        assert right or set(proposal_of(one).others) & one.request.stop_token_ids
