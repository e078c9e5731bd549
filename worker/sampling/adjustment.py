"""Bias and penalties of one sequence, kept from token to token.

All that is kept follows from the sequence's tokens, which it is told in order, be it one at a time
or all at once: so a sequence that goes on elsewhere draws the same (law 1). A token costs what it
changes, however long the sequence is.
"""

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raylax.proto.vocabulary import Sampling

Logits = npt.NDArray[np.float32]
LARGEST = np.finfo(np.float32).max


def is_penalised(sampling: Sampling) -> bool:
    """Whether a draw depends on the tokens before it."""
    return bool(
        sampling.repetition_penalty != 1.0
        or sampling.presence_penalty
        or sampling.frequency_penalty
    )


def is_adjusted(sampling: Sampling) -> bool:
    """Whether a draw is from other logits than the model's own."""
    return bool(sampling.logit_bias) or is_penalised(sampling)


class Adjustment:
    """What bias and penalties make of a sequence's logits.

    Repetition counts prompt and answer, the other two penalties the answer alone.
    """

    def __init__(self, sampling: Sampling, prompt: int) -> None:
        """`prompt`: how many of the tokens are the prompt."""
        self._sampling, self._prompt = sampling, prompt
        self._active, self._history = is_adjusted(sampling), is_penalised(sampling)
        self._biased = np.array([token for token, _ in sampling.logit_bias], np.int64)
        self._bias = np.array([bias for _, bias in sampling.logit_bias], np.float32)
        self._told = 0
        self._seen, self._is_seen = array("q"), set[int]()
        self._said, self._counts, self._place = array("q"), array("f"), dict[int, int]()

    def tell(self, tokens: Sequence[int]) -> None:
        """The sequence's tokens so far: those that are new since the last call count."""
        if self._history:
            told, self._told = self._told, len(tokens)
            if self._sampling.repetition_penalty != 1.0:
                for token in tokens[told:]:
                    self._see(token)
            for token in tokens[max(told, self._prompt) :]:
                self._count(token)

    def _see(self, token: int) -> None:
        if token not in self._is_seen:
            self._is_seen.add(token)
            self._seen.append(token)

    def _count(self, token: int) -> None:
        place = self._place.setdefault(token, len(self._said))
        if place == len(self._said):
            self._said.append(token)
            self._counts.append(0.0)
        self._counts[place] += 1.0

    def apply(self, logits: Logits) -> Logits:
        """The adjusted logits of the token that comes next; the same array if nothing is adjusted.
        What would exceed float32 stays at its end."""
        if not self._active:
            return logits
        sampling, out = self._sampling, logits.copy()
        if len(self._biased):
            out[self._biased] += self._bias
        if self._seen:
            seen, penalty = np.array(self._seen), np.float32(sampling.repetition_penalty)
            values = out[seen]
            with np.errstate(over="ignore"):
                values = np.where(values > 0, values / penalty, values * penalty)
            out[seen] = np.clip(values, -LARGEST, LARGEST)
        if self._said and (sampling.presence_penalty or sampling.frequency_penalty):
            said, counts = np.array(self._said), np.array(self._counts)
            out[said] -= np.float32(sampling.presence_penalty)
            out[said] -= np.float32(sampling.frequency_penalty) * counts
        return out
