"""POST /tokenize and /detokenize, in vLLM's shapes."""

from typing import Annotated, Self

from pydantic import BaseModel, model_validator

from raylax.proto.openai import chat
from raylax.proto.openai.shared import MOST_VALUES, BoundedList, NullDroppingModel, TokenId


class TokenizeRequest(NullDroppingModel):
    """A prompt, or messages by the model's chat template."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[chat.Message], BoundedList(chat.MOST_MESSAGES, least=1)] | None = None
    tools: Annotated[list[chat.Tool], BoundedList(chat.MOST_TOOLS)] | None = None
    add_special_tokens: bool | None = None
    """By default a prompt has them; a chat template writes its own."""
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("prompt: either a prompt or messages must be given")
        return self

    @property
    def special(self) -> bool:
        chosen = self.add_special_tokens
        return self.messages is None if chosen is None else chosen

    def for_chat(self) -> chat.ChatCompletionRequest:
        assert self.messages is not None
        return chat.ChatCompletionRequest(messages=self.messages, tools=self.tools)


class TokenizeResponse(BaseModel):
    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeRequest(NullDroppingModel):
    model: str | None = None
    tokens: Annotated[list[TokenId], BoundedList(MOST_VALUES)]


class DetokenizeResponse(BaseModel):
    prompt: str
