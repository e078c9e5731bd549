"""POST /tokenize and /detokenize, in vLLM's shapes."""

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, model_validator

from raylax.proto.openai import chat
from raylax.proto.openai.body import MOST_VALUES, BoundedList, StrictModel
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.fields import TOKENIZE
from raylax.proto.openai.prompting import PromptFields
from raylax.proto.openai.shared import TokenId
from raylax.proto.openai.tools import MOST_TOOLS, Tool


class TokenizeRequest(PromptFields):
    """A prompt, or messages by the model's chat template."""

    not_here: ClassVar[FieldTable] = TOKENIZE
    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[chat.Message], BoundedList(chat.MOST_MESSAGES, least=1)] | None = None
    tools: Annotated[list[Tool], BoundedList(MOST_TOOLS)] | None = None
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("prompt: either a prompt or messages must be given")
        return self

    @property
    def special(self) -> bool:
        """Whether the tokenizer adds its special tokens to a prompt."""
        return self.add_special_tokens is not False

    def for_chat(self) -> chat.ChatCompletionRequest:
        assert self.messages is not None
        return chat.ChatCompletionRequest(
            messages=self.messages, tools=self.tools, **self.prompt_fields()
        )


class TokenizeResponse(BaseModel):
    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeRequest(StrictModel):
    not_here: ClassVar[FieldTable] = TOKENIZE
    model: str | None = None
    tokens: Annotated[list[TokenId], BoundedList(MOST_VALUES)]


class DetokenizeResponse(BaseModel):
    prompt: str
