"""The answer to a request that wants a vector: its length, its cut, its shape in OpenAI's API."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.openai.embeddings import Embedding, EmbeddingList, EmbeddingUsage
from raylax.proto.openai.shared import Usage
from raylax.proto.vocabulary import Delta


def normalised(values: Sequence[float]) -> tuple[float, ...]:
    """At Euclidean length 1, as float32s. Squares of float32s are exact and their sum is rounded
    once, so that it is the same on every CPU (law 1)."""
    length = math.sqrt(math.fsum(value * value for value in values)) or 1.0
    return tuple(array("f", [value / length for value in values]))


@dataclass
class Vector:
    """What a request with `embed` comes to. Its one event says that it is there."""

    index: int
    dimensions: int | None = None
    """Only so many of the first values, at length 1 again; None: all."""
    values: tuple[float, ...] = ()
    tokens: int = 0
    """None are generated."""
    cached_tokens: int = 0
    finish_reason: str | None = None

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


@dataclass
class EmbeddingShape:
    """It has no chunks: vectors come whole."""

    operation: ClassVar[str] = "embeddings"

    model: str
    encoding: Literal["float", "base64"]

    def chunks(self, event: TextEvent) -> list[EmbeddingList]:
        return []

    def usage_chunk(self, usage: Usage) -> EmbeddingList:
        return self.response([], usage)

    def response(self, vectors: Sequence[Vector], usage: Usage) -> EmbeddingList:
        """Raises WorkerUnavailable when a vector never came."""
        return EmbeddingList(
            data=[
                Embedding(index=vector.index, embedding=self._encode(vector)) for vector in vectors
            ],
            model=self.model,
            usage=EmbeddingUsage(
                prompt_tokens=usage.prompt_tokens, total_tokens=usage.total_tokens
            ),
        )

    def _encode(self, vector: Vector) -> list[float] | str:
        if not vector.values:
            raise WorkerUnavailable(f"input {vector.index} ended with {vector.finish_reason}")
        if self.encoding == "float":
            return list(vector.values)
        return Embedding.encode(vector.values)
