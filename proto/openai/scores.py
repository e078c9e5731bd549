"""POST /v1/score, /v1/rerank and /classify, in the shapes that vLLM, Jina and Cohere have.

The first two compare texts in pairs, a query and a document: a score says it of each pair, in their
order, and a ranking has the documents of one query, the best one first. The last one has labels for
each text.
"""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from raylax.proto import ranges
from raylax.proto.openai import chat
from raylax.proto.openai.body import BoundedList
from raylax.proto.openai.embeddings import MOST_INPUTS, Inputs, VectorFields
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.fields import CLASSIFY, RERANK, SCORE
from raylax.proto.openai.prompting import PromptFields
from raylax.proto.openai.shared import ResponseModel, Usage, one_or_more

Texts = str | Annotated[list[str], BoundedList(MOST_INPUTS, least=1)]


OLDER, NEWER = [True, True, False, False], [False, False, True, True]
"""Which of the fields of a score there are."""


class PairFields(VectorFields):
    """What both bodies have."""

    prefix: ClassVar[str]
    """Of the ids of their calls."""
    instruction: str | None = None
    """What documents are looked for, for a reranker that generates; else it is told its own."""

    @property
    @abstractmethod
    def query_texts(self) -> tuple[str, list[str]]:
        """The name of their field, and one for all documents, or one for each."""

    @property
    @abstractmethod
    def document_texts(self) -> tuple[str, list[str]]:
        """The name of their field, and the documents."""

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Which query each document is compared with."""
        (_, queries), (_, documents) = self.query_texts, self.document_texts
        one = len(queries) == 1
        return [(0 if one else at, at) for at in range(len(documents))]


class ScoreRequest(PairFields):
    """A body of /v1/score: either pair of fields, which mean the same."""

    not_here: ClassVar[FieldTable] = SCORE
    prefix = "score-"
    text_1: Texts | None = None
    text_2: Texts | None = None
    queries: Texts | None = None
    documents: Texts | None = None

    @property
    def query_texts(self) -> tuple[str, list[str]]:
        return given(text_1=self.text_1, queries=self.queries)

    @property
    def document_texts(self) -> tuple[str, list[str]]:
        return given(text_2=self.text_2, documents=self.documents)

    @model_validator(mode="after")
    def _in_pairs(self) -> Self:
        fields = (self.text_1, self.text_2, self.queries, self.documents)
        if [one is not None for one in fields] not in (OLDER, NEWER):
            raise ValueError("text_1: needs text_2 and nothing else, or queries and documents do")
        (name, queries), (other, documents) = self.query_texts, self.document_texts
        if len(queries) not in (1, len(documents)):
            raise ValueError(
                f"{name}: must be one, or as many as the {len(documents)} of {other}, "
                f"found {len(queries)}"
            )
        return self


def given(**fields: str | list[str] | None) -> tuple[str, list[str]]:
    """The one of these fields that is there, and its texts."""
    ((name, value),) = ((name, value) for name, value in fields.items() if value is not None)
    return name, [value] if isinstance(value, str) else value


def text_of(document: Any) -> Any:
    """Of a document the text, whatever else is told of it."""
    if not isinstance(document, dict):
        return document
    if not isinstance(text := document.get("text"), str):
        raise ValueError("must be a text, or an object with a text")
    return text


class RerankRequest(PairFields):
    """A body of /v1/rerank."""

    not_here: ClassVar[FieldTable] = RERANK
    prefix = "rerank-"
    query: str
    documents: Annotated[
        list[Annotated[str, BeforeValidator(text_of)]], BoundedList(MOST_INPUTS, least=1)
    ]
    top_n: Annotated[int, Field(ge=0, le=ranges.MOST_COUNTED)] = 0
    """So many of them are told; 0: all."""
    return_documents: bool = True
    """Whether the texts are told, too."""

    @property
    def query_texts(self) -> tuple[str, list[str]]:
        return "query", [self.query]

    @property
    def document_texts(self) -> tuple[str, list[str]]:
        return "documents", self.documents


class Score(ResponseModel):
    object: Literal["score"] = "score"
    index: int
    score: float


class ScoreList(ResponseModel):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Score]
    usage: Usage


class TextDocument(ResponseModel):
    text: str


class RankedDocument(ResponseModel):
    index: int
    document: TextDocument | None = None
    relevance_score: float


class Ranking(ResponseModel):
    id: str
    model: str
    results: list[RankedDocument]
    usage: Usage


class ClassifyRequest(PromptFields, VectorFields):
    """A body of /classify: texts, or messages by the model's chat template."""

    not_here: ClassVar[FieldTable] = CLASSIFY
    prefix: ClassVar[str] = "classify-"
    input: Inputs | None = None
    messages: Annotated[list[chat.Message], BoundedList(chat.MOST_MESSAGES, least=1)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise ValueError("input: either input or messages must be given")
        return self

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        assert self.input is not None
        return one_or_more(self.input)

    def for_chat(self) -> chat.ChatCompletionRequest:
        """What is shown of messages: no turn is begun behind them, unless it is asked for."""
        assert self.messages is not None
        fields = self.prompt_fields()
        fields["add_generation_prompt"] = bool(self.add_generation_prompt)
        return chat.ChatCompletionRequest(messages=self.messages, **fields)


class Classified(ResponseModel):
    index: int
    label: str
    """The one with the most."""
    probs: list[float]
    """Of each label, in their order."""
    num_classes: int


class ClassifiedList(ResponseModel):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Classified]
    usage: Usage
