"""POST /v1/embeddings. https://platform.openai.com/docs/api-reference/embeddings"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from struct import Struct
from typing import Annotated, ClassVar, Literal

from raylax.proto.openai.body import BoundedList
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.fields import EMBEDDINGS
from raylax.proto.openai.shared import (
    CacheSalt,
    Count,
    PriorityField,
    ResponseModel,
    Seconds,
    TokenIds,
    one_or_more,
)
from raylax.proto.openai.telling import TruncationFields
from raylax.proto.vocabulary import Priority

MOST_INPUTS = 1024
FLOAT = Struct("<f")


class VectorFields(TruncationFields):
    """The fields of every body that asks for vectors, or for what they say."""

    model: str | None = None
    timeout: Seconds | None = None
    """Seconds."""
    priority: PriorityField = Priority.NORMAL
    cache_salt: CacheSalt | None = None


Inputs = (
    str
    | TokenIds
    | Annotated[list[str], BoundedList(MOST_INPUTS, least=1)]
    | Annotated[list[TokenIds], BoundedList(MOST_INPUTS, least=1)]
)


class EmbeddingRequest(VectorFields):
    """A body of /v1/embeddings."""

    not_here: ClassVar[FieldTable] = EMBEDDINGS
    input: Inputs
    add_special_tokens: bool = True
    """Whether the tokenizer adds its own to a text."""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Count | None = None
    pooling: Literal["last", "mean", "cls"] | None = None
    """Whose state the vector is to be: the engine has one way. None: that."""

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        return one_or_more(self.input)


class Embedding(ResponseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """Numbers, or the base64 of little-endian float32s."""

    @property
    def values(self) -> list[float]:
        """The numbers, whatever the encoding."""
        if not isinstance(self.embedding, str):
            return self.embedding
        return [value for (value,) in FLOAT.iter_unpack(b64decode(self.embedding))]

    @classmethod
    def encode(cls, values: Sequence[float]) -> str:
        return b64encode(b"".join(map(FLOAT.pack, values))).decode()


class EmbeddingUsage(ResponseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(ResponseModel):
    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
