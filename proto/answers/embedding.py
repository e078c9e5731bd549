"""Answers of OpenAI's /v1/embeddings."""

from collections.abc import Iterator, Sequence
from typing import Literal

from raylax.proto.answers.openai_chunks import ChunkWriter, filled
from raylax.proto.answers.writer import AnswerEvent
from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.calls.vector import vectors_of
from raylax.proto.openai.embeddings import Embedding, EmbeddingList, EmbeddingUsage


class WholeWriter(ChunkWriter):
    """Writes what comes whole: it has no chunks."""

    def add(self, event: TextEvent) -> list[AnswerEvent]:
        return []

    def chunks(self, event: TextEvent) -> list[EmbeddingList]:
        return []

    def last_chunks(self) -> list[EmbeddingList]:
        return []


class EmbeddingWriter(WholeWriter):
    """Writes vectors."""

    def __init__(self, call: Call, model: str, encoding: Literal["float", "base64"]) -> None:
        super().__init__(call)
        self._model, self._encoding = model, encoding

    def response(self) -> EmbeddingList:
        """Raises WorkerUnavailable when a vector never came."""
        return self._response(list(self._embeddings()))

    def whole(self) -> bytes:
        """As `response`, written piece by piece."""
        each = (one.model_dump_json().encode() for one in self._embeddings())
        return filled(self._response([]).model_dump_json().encode(), b"data", each)

    def _embeddings(self) -> Iterator[Embedding]:
        for index, values in enumerate(vectors_of(self.call)):
            yield Embedding(index=index, embedding=self._encoded(values))

    def _response(self, data: list[Embedding]) -> EmbeddingList:
        usage = self.call.usage
        return EmbeddingList(
            data=data,
            model=self._model,
            usage=EmbeddingUsage(
                prompt_tokens=usage.prompt_tokens, total_tokens=usage.total_tokens
            ),
        )

    def _encoded(self, values: Sequence[float]) -> list[float] | str:
        return list(values) if self._encoding == "float" else Embedding.encode(values)
