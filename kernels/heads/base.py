"""The contract of a draft head that has a layer, and pages, of its own."""

from typing import NamedTuple, Protocol

from raylax.kernels.model import Floats, Ints, StepBatch


class HeadOutput(NamedTuple):
    """What a step of a head came to: valid until the next one."""

    logits: Floats
    """[rows, tokens that the head can name]."""
    tokens: Ints | None
    """[tokens that the head can name]: the base's id of each; None: they are the same."""
    drawn: Ints
    """[rows]: the base's id of the largest logit; where the head draws, of what is drawn by the
    batch's rules."""
    largest: Floats
    """[rows]: the largest logit. Where it is NaN or infinite, no token was drawn."""
    hidden: Floats
    """[rows, hidden]: the feature for the step that goes on from these rows."""


class DraftHead(Protocol):
    """A head drafts one token a step. Row by row it is given a token and, beside it, the feature of
    the token before: which belongs to which is for the caller to say. A row has the same bits
    whatever shares its step (law 1). Used by the thread that runs its base."""

    taps: tuple[int, ...]
    """Residual streams of the base that it wants of every computed token, as
    `raylax.kernels.options.ModelOptions.taps` names them."""
    vocab: int
    """Of the base."""
    draws: bool
    """As `Model.draws`: then it has logits of all tokens of the base."""
    pages: int
    page_bytes: int
    """Length of what `read_page` gives."""

    def features(self, tapped: Floats) -> Floats:
        """f32[T, taps * hidden] of the base, as `TappedModel.tapped` gives them and without
        padding, -> f32[T, hidden]: the features of tokens that the base has computed. They are
        the caller's."""
        ...

    def step(self, batch: StepBatch, features: Floats) -> HeadOutput:
        """Run one ragged batch, over pages of the head's own. `features`: f32[T, hidden], one for
        each token of the batch."""
        ...

    def read_page(self, page: int) -> bytes:
        """Keys and values of a page's tokens."""
        ...

    def write_page(self, page: int, content: bytes) -> None:
        """What `read_page` gave; ValueError if it is not of this size."""
        ...
