"""Vectors as OpenAI's API writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from raylax.proto.calls.events import TextEvent
from raylax.proto.calls.vector import Vector
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.openai.embeddings import Embedding, EmbeddingList, EmbeddingUsage
from raylax.proto.openai.shared import Usage


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
