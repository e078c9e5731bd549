"""Bias and penalties of one sequence, kept from token to token.

All that is kept follows from the sequence's tokens, which it is told in order, be it one at a time
or all at once: so a sequence that goes on elsewhere draws the same (law 1). A token costs what it
changes, however long the sequence is.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.cpu.sampler.arguments import FORBIDDEN
from raylax.proto.vocabulary import Sampling

Logits = npt.NDArray[np.float32]


def is_penalised(sampling: Sampling) -> bool:
    """Whether a draw depends on the tokens before it."""
    return bool(
        sampling.repetition_penalty != 1.0
        or sampling.presence_penalty
        or sampling.frequency_penalty
    )


def is_constrained(sampling: Sampling) -> bool:
    """Whether some tokens are not to be drawn, whatever their logits."""
    return bool(
        sampling.min_tokens
        or sampling.allowed_token_ids
        or sampling.bad_words
        or sampling.grammar
        or sampling.thinking
    )


def is_adjusted(sampling: Sampling) -> bool:
    """Whether a draw is from other logits than the model's own."""
    return bool(sampling.logit_bias) or is_penalised(sampling) or is_constrained(sampling)


class Entries(NamedTuple):
    """The tokens whose logits are changed, each once, in the order in which they came up: entries
    are appended or counted up, never moved. As kernels of GPUs take them, too."""

    ids: npt.NDArray[np.int32]
    biases: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]
    """How often the answer has the token; -1 if neither the prompt nor the answer has it; or
    FORBIDDEN, in a second entry of a token that is not to be drawn."""


class Adjustment:
    """What bias and penalties make of a sequence's logits.

    Repetition counts prompt and answer, the other two penalties the answer alone.
    """

    def __init__(self, sampling: Sampling, prompt: int) -> None:
        """`prompt`: how many of the tokens are the prompt."""
        self._sampling, self._prompt = sampling, prompt
        self._history = is_penalised(sampling)
        self._active = self._history or bool(sampling.logit_bias)
        self._told = 0
        self._place = dict[int, int]()
        self._ids, self._biases, self._counts = array("i"), array("f"), array("i")
        for token, bias in sampling.logit_bias:
            self._biases[self._place_of(token)] = bias

    def tell(self, tokens: Sequence[int]) -> None:
        """The sequence's tokens so far: those that are new since the last call count."""
        if self._history:
            told, self._told = self._told, len(tokens)
            if self._sampling.repetition_penalty != 1.0:
                for token in tokens[told : self._prompt]:
                    place = self._place_of(token)
                    self._counts[place] = max(self._counts[place], 0)
            for token in tokens[max(told, self._prompt) :]:
                place = self._place_of(token)
                self._counts[place] = max(self._counts[place], 0) + 1

    @property
    def active(self) -> bool:
        """Whether it changes anything."""
        return self._active

    @property
    def remembers(self) -> bool:
        """Whether it changes with every token."""
        return self._history

    def __len__(self) -> int:
        """How many logits it changes."""
        return len(self._ids)

    def _place_of(self, token: int) -> int:
        place = self._place.setdefault(token, len(self._ids))
        if place == len(self._ids):
            self._ids.append(token)
            self._biases.append(0.0)
            self._counts.append(-1)
        return place

    @property
    def entries(self) -> Entries:
        """All that is kept, as it is now."""
        return joined([self])

    def after(self, draft: Sequence[int]) -> "Adjustment":
        """What it would be if these tokens followed; itself, if they change nothing."""
        if not (self._history and draft):
            return self
        then = Adjustment.__new__(Adjustment)
        then._sampling, then._prompt, then._told = self._sampling, 0, 0
        then._active = then._history = True
        then._place = dict(self._place)
        then._ids, then._biases, then._counts = self._ids[:], self._biases[:], self._counts[:]
        then.tell(draft)
        return then


def forbidding(entries: Entries, tokens: Sequence[int]) -> Entries:
    """The entries, and behind them some for tokens that are not to be drawn."""
    count = len(tokens)
    return Entries(
        np.append(entries.ids, np.array(tokens, np.int32)),
        np.append(entries.biases, np.zeros(count, np.float32)),
        np.append(entries.counts, np.full(count, FORBIDDEN, np.int32)),
    )


def joined(several: Sequence[Adjustment]) -> Entries:
    """The entries of all of them, one behind the other."""
    ids = b"".join([one._ids for one in several])
    biases = b"".join([one._biases for one in several])
    counts = b"".join([one._counts for one in several])
    return Entries(
        np.frombuffer(ids, np.int32),
        np.frombuffer(biases, np.float32),
        np.frombuffer(counts, np.int32),
    )
