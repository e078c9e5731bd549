"""What a request for an embedding comes to: one vector, its length and its cut."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.text.labels import Labels, sigmoid
from raylax.proto.vocabulary import Delta

VALUE_BYTES = 20
"""A number in JSON, about."""


def normalised(values: Sequence[float]) -> tuple[float, ...]:
    """The vector at Euclidean length 1, as float32s. Squares of float32s are exact and their sum is
    rounded once, so that it is the same on every CPU (law 1)."""
    length = math.sqrt(math.fsum(value * value for value in values)) or 1.0
    return tuple(array("f", [value / length for value in values]))


@dataclass
class Vector:
    """What the deltas of a request for an embedding make. Its only event says that it is there."""

    index: int
    dimensions: int | None = None
    """How many of the first values are kept, at length 1 again; None: all."""
    values: tuple[float, ...] = ()
    tokens: int = 0
    """Generated ones, as every part of a call counts them: none."""
    cached_tokens: int = 0
    accepted_tokens: int = 0
    finish_reason: str | None = None

    @property
    def size(self) -> int:
        """About how many bytes it has in an answer."""
        return VALUE_BYTES * len(self.values)

    @property
    def may_stop(self) -> bool:
        return False

    def feed(self, delta: Delta) -> TextEvent | None:
        if self.finish_reason is not None:
            return None
        self.cached_tokens = max(self.cached_tokens, delta.cached_tokens)
        if delta.finish is None:
            return None
        self.finish_reason = str(delta.finish)
        self.values = delta.embedding
        if self.dimensions is not None and self.dimensions < len(self.values):
            self.values = normalised(self.values[: self.dimensions])
        return TextEvent(self.index, finish_reason=self.finish_reason)


@dataclass(frozen=True, slots=True)
class PairedCall:
    """A call whose vectors say how well texts fit each other."""

    call: Call
    compared: Sequence[tuple[int, int]] | None
    """Which vectors, for each pair; None: each is of one pair, the logits of yes and no, or that
    of a label."""
    labels: Labels | None = None
    """That are of pairs."""

    def scores(self) -> list[float]:
        """Of each pair, once the call is done: a cosine, a probability, or what a label has. Raises
        as `vectors_of`."""
        vectors = vectors_of(self.call)
        if self.labels is not None:
            return [self.labels.score(*logits) for logits in vectors]
        if self.compared is None:
            return [preferred(*logits) for logits in vectors]
        return [cosine(vectors[one], vectors[other]) for one, other in self.compared]


@dataclass(frozen=True, slots=True)
class LabelledCall:
    """A call whose vectors are the logits of labels."""

    call: Call
    labels: Labels

    def scores(self) -> list[list[float]]:
        """What each text has of each label, once the call is done. Raises as `vectors_of`."""
        return [self.labels.scores(logits) for logits in vectors_of(self.call)]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two vectors of float32s at length 1: their products are exact, and rounded once."""
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def preferred(yes: float, no: float) -> float:
    """The probability of one token against the other, by their logits."""
    return sigmoid(yes - no)


def vectors_of(call: Call) -> list[tuple[float, ...]]:
    """The vectors of an embedding call that is done, in the order of its inputs. Raises the error
    that ended the call, and WorkerUnavailable when a vector never came."""
    vectors = call.ended_parts(Vector)
    for vector in vectors:
        if not vector.values:
            raise WorkerUnavailable(f"input {vector.index} ended with {vector.finish_reason}")
    return [vector.values for vector in vectors]
