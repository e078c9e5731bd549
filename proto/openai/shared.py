"""Fields that chat and completion requests have in common, and how a body becomes a request."""

from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from raylax.proto.errors import InvalidRequest

Finite = Annotated[float, Field(allow_inf_nan=False)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
MOST_CHOICES = 16
MOST_STOPS = 16


class Strict(BaseModel):
    """Types are not converted: "5" is no number. Unknown fields are ignored, as OpenAI does."""

    model_config = ConfigDict(strict=True)


class StreamOptions(Strict):
    include_usage: bool = False


class TextFormat(Strict):
    type: Literal["text"]


class SamplingFields(Strict):
    """None means: as the model's own generation_config.json says."""

    model: str | None = None
    temperature: Annotated[Finite, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Finite, Field(gt=0, le=1)] | None = None
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    stop: str | list[str] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    logit_bias: dict[str, Bias] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None
    response_format: TextFormat | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[Finite, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[Finite, Field(gt=0, le=10)] | None = None
    ignore_eos: bool = False
    stop_token_ids: Annotated[list[TokenId], Field(max_length=128)] | None = None
    timeout: Annotated[Finite, Field(gt=0)] | None = None
    """Seconds."""

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if len(self.stops) > MOST_STOPS or not all(self.stops):
            raise ValueError(f"stop: at most {MOST_STOPS} strings, none empty")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options: only allowed when stream is true")
        if not all(key.isascii() and key.isdigit() for key in self.logit_bias or {}):
            raise ValueError("logit_bias: keys must be token ids")
        return self


Body = TypeVar("Body", bound=Strict)


def parse_body(kind: type[Body], raw: bytes | str) -> Body:
    """The request in a body; what is wrong with it is a 400 that names the field."""
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"] if part not in ("str", "list[str]"))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return InvalidRequest(f"the body is not valid JSON: {message}")
    if not path:  # a rule over several fields, which begins with the one at fault
        return InvalidRequest(message, param=message.split(":")[0])
    given = repr(first["input"])
    shown = given if len(given) <= 80 else given[:77] + "..."
    return InvalidRequest(f"{path}: {message}, found {shown}", param=path)


class Outgoing(BaseModel):
    """A response: fields that are None are left out, but for those that clients look for."""

    shown_as_null: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        shown = self.shown_as_null
        return {name: value for name, value in fields.items() if value is not None or name in shown}


class PromptTokensDetails(Outgoing):
    cached_tokens: int = 0


class Usage(Outgoing):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
