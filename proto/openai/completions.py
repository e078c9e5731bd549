"""POST /v1/completions. https://platform.openai.com/docs/api-reference/completions"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from raylax.proto import ranges
from raylax.proto.openai.body import BoundedList
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.fields import COMPLETIONS
from raylax.proto.openai.shared import (
    FINGERPRINT,
    MOST_CHOICES,
    ResponseModel,
    SamplingFields,
    TokenIds,
    Usage,
    one_or_more,
)
from raylax.proto.openai.telling import PromptLogprobs, TopLogprobs, false_is_none

MOST_PROMPTS = 64
LONGEST_SUFFIX = 1 << 16


class CompletionRequest(SamplingFields):
    """A body of /v1/completions."""

    not_here: ClassVar[FieldTable] = COMPLETIONS
    prompt: (
        str
        | TokenIds
        | Annotated[list[str], BoundedList(MOST_PROMPTS, least=1)]
        | Annotated[list[TokenIds], BoundedList(MOST_PROMPTS, least=1)]
    )
    logprobs: Annotated[TopLogprobs | None, BeforeValidator(false_is_none)] = None
    add_special_tokens: bool = True
    """Whether the tokenizer adds its own to a text."""
    max_tokens: Annotated[int, Field(ge=0, le=ranges.MOST_COUNTED)] | None = None
    """0: nothing is wanted but the prompt, or its log-probabilities."""
    best_of: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    """How many answers are drawn, of which the `n` likeliest are told; None: those alone."""
    echo: bool = False
    """Whether an answer begins with its prompt."""
    suffix: Annotated[str, Field(max_length=LONGEST_SUFFIX)] = ""
    """What is to follow the answer: the model sees it if it was made to fill in before it, else it
    is put there."""

    @model_validator(mode="after")
    def _wants_something(self) -> Self:
        if self.max_tokens == 0 and not self.echo and self.prompt_logprobs is None:
            raise ValueError("max_tokens: may only be 0 with echo or prompt_logprobs, found 0")
        if self.drawn < self.n:
            raise ValueError(f"best_of: must be at least n, which is {self.n}, found {self.drawn}")
        if self.picks and self.stream:
            raise ValueError("best_of: may only be n when stream is true")
        return self

    @property
    def drawn(self) -> int:
        return self.n if self.best_of is None else self.best_of

    @property
    def picks(self) -> bool:
        """Whether answers are drawn that are not told."""
        return self.drawn > self.n

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        return one_or_more(self.prompt)


class Logprobs(ResponseModel):
    tokens: list[str]
    token_logprobs: list[float | None]
    """None for the first token of a prompt, which follows nothing."""
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(ResponseModel):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"logprobs", "finish_reason"})
    index: int
    text: str
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None
    """Of what is told here, if they were asked for; of a stop string that is cut, too."""
    prompt_token_ids: list[int] | None = None
    """In the first chunk of a choice, and in a whole answer."""
    prompt_logprobs: PromptLogprobs | None = None


class Completion(ResponseModel):
    """A whole answer, or a chunk of a streamed one, which has a usage at its end alone: clients of
    MLC-LLM look for it in each."""

    shown_as_null: ClassVar[frozenset[str]] = frozenset({"usage"})
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None
    system_fingerprint: str = FINGERPRINT
