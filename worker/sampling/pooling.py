"""Vectors that are not of the last state alone: a mean over a prompt, or its first token.

A model keeps the residual stream of its last layer for all tokens of a step (`TappedModel`). Here
it has its norm, and is added up in the order of the tokens, one after another: so the sum is the
same however a prefill was cut, and whatever shared its steps (law 1). All is done in float64, by
operations that every CPU rounds alike.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from raylax.proto.vocabulary import Request

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
How = Literal["mean", "cls"]


@dataclass(slots=True)
class Pooled:
    """Of one prompt what is known so far."""

    how: How
    tokens: int = 0
    """How many of it, from the first on, were read."""
    total: Doubles = field(default_factory=lambda: np.zeros(0))
    """Of the states of those that count, which has the direction of their mean; empty: of none."""

    def wants(self, first: int, count: int) -> range:
        """Which of so many tokens that were computed, from this one on, are to be read: those that
        were read before it gave way are computed once more, and count once."""
        end = 1 if self.how == "cls" else first + count
        return range(max(first, self.tokens), min(end, first + count))

    def add(self, states: Iterable[Doubles], computed: int) -> None:
        """Take the states of the tokens that it wanted; so many are computed by now."""
        for state in states:
            self.total = self.total + state if len(self.total) else state
        self.tokens = max(self.tokens, computed)


def pooled_of(request: Request, how: Literal["auto", "last", "mean", "cls"]) -> Pooled | None:
    """What a request needs beside its last row; None if that is all."""
    if how in ("auto", "last") or not request.embed or request.logits_of:
        return None
    return Pooled("cls" if how == "cls" else "mean")


@dataclass(frozen=True, slots=True)
class StateReader:
    """Reads the states of a step's tokens."""

    tapped: Callable[[Ints], Floats]
    """f32[tokens, hidden]: what the model's layers came to, of these tokens of the last step."""
    norm: Floats
    """[hidden]: the weight of the last norm."""
    eps: float

    def states(self, tokens: range) -> Doubles:
        """Behind the norm (https://arxiv.org/abs/1910.07467)."""
        streams = self.tapped(np.array(tokens, np.int32)).astype(np.float64)
        mean = row_sums(streams * streams) / streams.shape[1]
        scaled: Doubles = streams / np.sqrt(mean + self.eps)[:, None] * self.norm
        return scaled


def row_sums(values: Doubles) -> Doubles:
    """Of each row, by halves: numpy's own sum has another order on another CPU."""
    while (width := values.shape[1]) > 1:
        half = width // 2
        folded = values[:, :half] + values[:, half : 2 * half]
        if width % 2:
            folded[:, 0] += values[:, -1]
        values = folded
    return values[:, 0]
