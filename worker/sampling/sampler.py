"""Draws the next tokens from rows of logits, as `kernels/draws/definition.py` says.

Rows are independent, and each draw is keyed by (seed, choice, position) rather than taken from a
stream of random numbers: what else is in the batch, or was drawn before, changes nothing (law 1).
What is drawn compiled is `raylax.kernels.cpu.sampler`; here it is said what of.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from raylax.kernels.build import sampler_for
from raylax.kernels.cpu.sampler.sampler import Drawn, RowDraws
from raylax.kernels.draws.definition import MASK, key_of
from raylax.kernels.draws.rules import NO_RULE, RULE
from raylax.kernels.options import ModelOptions
from raylax.proto.grammar.matcher import Mask
from raylax.proto.vocabulary import Request, TokenLogprobs
from raylax.worker.sampling.adjustment import Entries, Logits

LEAST_FINITE = float(np.finfo(np.float32).min)
"""In place of a log-probability of -inf: a number in any API, also where it has 32 bits."""
NOTHING = Entries(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int32))
NO_MASKS = np.zeros((1, 1), np.int32)


class NotFinite(ArithmeticError):
    """What the model came to for a sequence is no number, and nothing can be drawn from it."""


def check_finite(largest: float) -> None:
    """Raises NotFinite for a row of which this is the largest value: NaN if there is one in it.
    Single values may be -inf: these tokens are never drawn."""
    if not math.isfinite(largest):
        raise NotFinite(f"the largest logit is {largest:g}, which is not finite")


class Wish(NamedTuple):
    """What a request wants of a row of logits."""

    row: int
    request: Request
    rule: bytes
    position: int
    """Of the answer; NO_RULE: `token` is there, and its log-probabilities are wanted."""
    changes: Entries = NOTHING
    """Of its logits, by the tokens so far."""
    mask: Mask | None = None
    """Which tokens may be drawn; None: all."""
    top_logprobs: int | None = None
    """None: no log-probabilities; k: those of the token and of the k likeliest ones."""
    token: int = 0


class Outcome(NamedTuple):
    """What came of it."""

    token: int
    largest: float
    """The largest logit that could be drawn; 0 if nothing was to be."""
    logprobs: TokenLogprobs | None = None
    """Of the token and the likeliest ones, if they are wanted and there are any."""


class CompiledSampler(Protocol):
    """`raylax.kernels.cpu.sampler.sampler.Sampler`."""

    def draw(self, logits: Logits, draws: RowDraws) -> Drawn:
        """Of rows of a step."""
        ...


class Sampler:
    """Draws for the rows of a step. Used by the thread that runs the steps."""

    def __init__(self, compiled: CompiledSampler) -> None:
        self._compiled = compiled

    def draw(self, logits: Logits, wishes: Sequence[Wish]) -> list[Outcome]:
        """What comes of each. `logits`: [rows, vocabulary]; a device's are copied, those rows that
        are wanted. Raises IndexError for a row or a token that is not there."""
        if not isinstance(logits, np.ndarray):
            logits = np.stack([logits[wish.row] for wish in wishes])
            wishes = [wish._replace(row=row) for row, wish in enumerate(wishes)]
        drawn = self._compiled.draw(logits, together(wishes))
        outcomes = []
        pairs = zip(wishes, drawn.tokens.tolist(), drawn.largest.tolist(), strict=True)
        for i, (wish, token, largest) in enumerate(pairs):
            if wish.position == NO_RULE:
                token, largest = wish.token, 0.0
            logprobs = None
            if wish.top_logprobs is not None and math.isfinite(drawn.peaks[i]):
                wanted = wish.top_logprobs
                logprobs = log_probabilities(logits[wish.row], token, drawn, i, wanted)
            outcomes.append(Outcome(token, largest, logprobs))
        return outcomes


def together(wishes: Sequence[Wish]) -> RowDraws:
    """The same as arrays."""
    samplings = [wish.request.sampling for wish in wishes]
    rules = np.frombuffer(bytearray(b"".join([wish.rule for wish in wishes])), RULE)
    positions = np.array([wish.position for wish in wishes], np.int64)
    rules["position"] = positions
    keys = key_of(
        np.array([sampling.seed & MASK for sampling in samplings], np.uint64),
        np.array([wish.request.choice for wish in wishes], np.uint64),
        positions.astype(np.uint64),
    )
    ends = np.cumsum([0, *(len(wish.changes.ids) for wish in wishes)], dtype=np.int32)
    changes = [wish.changes for wish in wishes if len(wish.changes.ids)] or [NOTHING]
    ids, biases, counts = map(np.concatenate, zip(*changes, strict=True))
    tops = [-1 if wish.top_logprobs is None else wish.top_logprobs for wish in wishes]
    masks = [wish.mask for wish in wishes if wish.mask is not None]
    masked = np.array([wish.mask is not None for wish in wishes])
    return RowDraws(
        np.array([wish.row for wish in wishes], np.int32),
        rules,
        keys,
        np.array([sampling.typical_p for sampling in samplings]),
        ends,
        ids,
        biases,
        counts,
        np.where(masked, np.cumsum(masked) - 1, -1).astype(np.int32),
        np.stack(masks) if masks else NO_MASKS,
        np.array(tops, np.int32),
    )


def log_probabilities(row: Logits, token: int, drawn: Drawn, at: int, wanted: int) -> TokenLogprobs:
    """The token's own and those of the likeliest, of the raw logits: what the model thinks,
    whatever the sampling made of it. `at`: where the row is among those that were drawn."""
    total = float(drawn.peaks[at]) + math.log(float(drawn.sums[at]))
    ids = drawn.likeliest[at, : min(wanted, len(row))]
    ordered = ids[np.argsort(-row[ids], kind="stable")]  # they are in ascending order

    def of(one: int) -> float:
        return max(float(row[one]) - total, LEAST_FINITE)

    return TokenLogprobs(of(token), tuple((one, of(one)) for one in ordered.tolist()))


def single_threaded() -> Sampler:
    """One for whoever runs no compiled model."""
    return Sampler(sampler_for(ModelOptions(threads=1)))
