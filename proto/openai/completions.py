"""POST /v1/completions. https://platform.openai.com/docs/api-reference/completions"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raylax.proto.openai.shared import Few, Outgoing, SamplingFields, TokenId, Usage

MOST_PROMPTS = 64
Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]


class CompletionRequest(SamplingFields):
    prompt: (
        str
        | Tokens
        | Annotated[list[str], Few(MOST_PROMPTS, least=1)]
        | Annotated[list[Tokens], Few(MOST_PROMPTS, least=1)]
    )
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: Literal[False] = False
    suffix: None = None
    best_of: Literal[1] | None = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


class Logprobs(Outgoing):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class Choice(Outgoing):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"finish_reason"})
    index: int
    text: str
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Completion(Outgoing):
    """A whole answer, or a chunk of a streamed one."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None
