"""What requests and answers of all APIs have in common."""

import re
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from raylax.proto import ranges
from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.openai import field_rules
from raylax.proto.openai.field_rules import STRICT, FieldTable, check_fields, only
from raylax.proto.openai.fields import DEBUG_CONFIG, FORCED, GRAMMAR, STREAM_OPTIONS
from raylax.proto.ranges import Range
from raylax.proto.vocabulary import Priority

Seconds = Annotated[float, Field(gt=0, le=ranges.LONGEST_S, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=ranges.MOST_COUNTED)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
CacheSalt = Annotated[str, Field(min_length=1, max_length=256)]
"""Only requests that bring the same one share pages."""
TokenKey = Annotated[str, Field(pattern="^[0-9]{1,10}$")]


def WithinRange(range_: Range) -> Any:
    """The bounds of a number."""
    return Field(ge=range_.least, le=range_.most, allow_inf_nan=False)


Bias = Annotated[float, WithinRange(ranges.BIAS)]
Penalty = Annotated[float, WithinRange(ranges.PENALTY)]
Probability = Annotated[float, WithinRange(ranges.PROBABILITY)]
TopLogprobs = Annotated[int, Field(ge=ranges.TOP_LOGPROBS.least, le=ranges.TOP_LOGPROBS.most)]
MOST_CHOICES = 16
MOST_STOPS = 16
LONGEST_STOP = 1024
MOST_BIASES = MOST_ALLOWED = 16384
MOST_BAD_WORDS = 128
LONGEST_BAD_WORD = 128
MOST_VALUES = 1 << 18
"""Values in one body, a list or an object counting as `OF_A_CONTAINER`, for so much longer does one
take. They are counted by their marks before anything is built: a parser takes seconds for millions
of them, and the interpreter can do nothing else meanwhile."""
OF_A_CONTAINER = 4

FINGERPRINT = f"fp_raylax_{version('raylax')}"
"""What answers say of the system that made them."""


def BoundedList(most: int, least: int = 0) -> Any:
    """The bounds of a list. Only its first fault is looked for, since it may have a million."""
    return Field(min_length=least, max_length=most, fail_fast=True)


def bounded_biases(given: Any) -> Any:
    if isinstance(given, dict) and len(given) > MOST_BIASES:
        raise ValueError(f"may have {MOST_BIASES} entries, it has {len(given)}")
    return given


def priority_of(given: Any) -> Priority:
    """A priority by its name, or by its number: the lowest is served first, as vLLM has it."""
    if isinstance(given, str) and given.upper() in Priority.__members__:
        return Priority[given.upper()]
    if type(given) in (int, Priority) and given in list(Priority):
        return Priority(given)
    raise ValueError("must be high, normal or low, or 0, 1 or 2")


PriorityField = Annotated[Priority, BeforeValidator(priority_of)]
BadWord = Annotated[str, Field(min_length=1, max_length=LONGEST_BAD_WORD)]
StopString = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Biases = Annotated[dict[TokenKey, Bias], BeforeValidator(bounded_biases)]


class StrictModel(BaseModel):
    """Types are not converted: "5" is no number. A field that is null is as good as absent, at any
    depth: many clients write what they leave open as null. A field that it has not is looked for in
    the table `not_here`."""

    model_config = ConfigDict(strict=True)
    not_here: ClassVar[FieldTable] = {}

    @classmethod
    def known_fields(cls) -> tuple[str, ...]:
        """Names of which it is known what they mean."""
        return (*cls.model_fields, *cls.not_here)

    @model_validator(mode="before")
    @classmethod
    def _look_at_fields(cls, fields: Any, info: ValidationInfo) -> Any:
        if not isinstance(fields, dict):
            return fields
        given = {name: value for name, value in fields.items() if value is not None}
        if not given.keys() <= cls.model_fields.keys():
            strict = bool((info.context or {}).get(STRICT))
            check_fields(given, cls.model_fields, cls.not_here, strict, cls.known_fields())
        return given


Body = TypeVar("Body", bound=StrictModel)
BRANCH = re.compile(r"str|constrained-str|list\[.*|\[.*\]")
"""How pydantic and `kind_of` name the branches of unions in the path of an error."""


def parse_body(kind: type[Body], raw: bytes | str, strict_fields: bool = False) -> Body:
    """The request in a body; what is wrong with it is a 400 that names the field. `strict_fields`:
    a field that nobody knows is wrong, too; else it is warned of."""
    values = values_in(raw.encode() if isinstance(raw, str) else raw)
    if values > MOST_VALUES:
        raise InvalidRequest(
            f"the body may have {MOST_VALUES} values, of which a list or an object counts as "
            f"{OF_A_CONTAINER}; it has up to {values}"
        )
    try:
        return kind.model_validate_json(raw, context={STRICT: strict_fields})
    except ValidationError as error:
        raise invalid(error) from None


def values_in(raw: bytes) -> int:
    """At most so many values are in a body: what stands in its texts is counted, too."""
    return raw.count(b",") + OF_A_CONTAINER * (raw.count(b"{") + raw.count(b"["))


def validated(kind: type[Body], fields: dict[str, Any]) -> Body:
    """The request that these fields make; what is wrong with it is a 400 that names the field."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidRequest:
    """The first error, with its field. Of a union every branch says what it misses: the one of the
    right type was meant, or else the one that got furthest."""
    errors = error.errors(include_url=False, include_context=False)
    meant = max(errors, key=lambda one: (not one["type"].endswith("_type"), len(one["loc"])))
    parts = [str(part)[:64] for part in meant["loc"]]  # a client's key may be long
    path = ".".join(part for part in parts if not BRANCH.fullmatch(part))
    message, found = meant["msg"].removeprefix("Value error, "), shown(meant["input"])
    match meant["type"]:
        case "json_invalid":
            return InvalidRequest(f"the body is not valid JSON: {message}")
        case "model_type" if not path:
            return InvalidRequest(f"the body must be a JSON object, found {found}")
        case field_rules.NOT_HERE:
            name, _, why = message.partition(": ")
            at = f"{path}.{name}" if path else name
            return InvalidRequest(f"{at}: {why}", param=at)
        case "missing":
            return InvalidRequest(f"{path}: {message}", param=path)
    if not path:  # a rule over several fields, which begins with the one at fault
        return InvalidRequest(message, param=message.split(":")[0])
    return InvalidRequest(f"{path}: {message}, found {found}", param=path)


class StreamOptions(StrictModel):
    not_here: ClassVar[FieldTable] = STREAM_OPTIONS
    include_usage: bool = False


class DebugConfig(StrictModel):
    """MLC-LLM's, for who looks into an engine: where a cluster is served with `enable_debug`, and
    always in the Python classes."""

    not_here: ClassVar[FieldTable] = DEBUG_CONFIG
    ignore_eos: bool = False
    """As the field of the request."""
    pinned_system_prompt: bool = False
    """Whether the pages of the prompt are kept when the request has ended."""
    special_request: Literal["query_engine_metrics"] | None = None
    """The answer is what the engine has done, in place of text."""
    grammar_execution_mode: Literal["jump_forward", "constraint"] = "jump_forward"
    """How a grammar is followed: without one there is no difference."""


class TextFormat(StrictModel):
    type: Annotated[Literal["text"], only(GRAMMAR, "text")]


ToolChoice = Annotated[Literal["auto", "none"], only(FORCED, "auto", "none")]


class CommonFields(StrictModel):
    """The fields of every body that asks for text, in any API. None means what the model's own
    generation_config.json says."""

    model: str | None = None
    temperature: Annotated[float, WithinRange(ranges.TEMPERATURE)] | None = None
    top_p: Probability | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    stream: bool = False
    top_k: Annotated[int, Field(ge=-1, le=ranges.MOST_COUNTED)] | None = None
    min_p: Probability | None = None
    repetition_penalty: Annotated[float, WithinRange(ranges.REPETITION_PENALTY)] | None = None
    typical_p: Probability | None = None
    ignore_eos: bool = False
    stop_token_ids: Annotated[list[TokenId], BoundedList(128)] | None = None
    min_tokens: Annotated[int, Field(ge=0, le=ranges.MOST_COUNTED)] = 0
    allowed_token_ids: Annotated[list[TokenId], BoundedList(MOST_ALLOWED, 1)] | None = None
    bad_words: Annotated[list[BadWord], BoundedList(MOST_BAD_WORDS)] | None = None
    timeout: Seconds | None = None
    priority: PriorityField = Priority.NORMAL
    cache_salt: CacheSalt | None = None

    def common(self) -> dict[str, Any]:
        """These fields, for a body of another API."""
        return {name: getattr(self, name) for name in CommonFields.model_fields}


class SamplingFields(CommonFields):
    """The fields that chat completions and completions have in common."""

    n: int = Field(1, ge=1, le=MOST_CHOICES)
    stop: StopString | Annotated[list[StopString], BoundedList(MOST_STOPS)] | None = None
    max_tokens: Count | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Biases | None = None
    stream_options: StreamOptions | None = None
    response_format: TextFormat | None = None
    debug_config: DebugConfig | None = None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def asks_for_metrics(self) -> bool:
        """Whether what the engine has done is wanted, and no text."""
        return self.debug_config is not None and self.debug_config.special_request is not None

    @property
    def pins_prompt(self) -> bool:
        """Whether the pages of the prompt are to be kept."""
        return self.debug_config is not None and self.debug_config.pinned_system_prompt

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options: only allowed when stream is true")
        if self.asks_for_metrics and not self.include_usage:
            raise ValueError(
                "debug_config: special_request needs stream and stream_options.include_usage, for "
                "its answer is the usage at the end of a stream"
            )
        if self.debug_config is not None and self.debug_config.ignore_eos:
            self.ignore_eos = True
        return self


def one_or_more(
    given: str | list[int] | list[str] | list[list[int]],
) -> list[str] | list[list[int]]:
    """The texts, or token ids of texts, of a field that may also hold just one of them."""
    if isinstance(given, str):
        return [given]
    return [given] if isinstance(given[0], int) else given


def kind_of(part: Any, default: str | None = None) -> str | None:
    """The branch of a union that a part's `type` names. The brackets keep it out of an error's
    path."""
    kind = part.get("type", default) if isinstance(part, dict) else getattr(part, "type", default)
    return f"[{kind}]" if isinstance(kind, str) else None


class ResponseModel(BaseModel):
    """A response: fields that are None are left out, but for those that clients look for."""

    shown_as_null: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        shown = self.shown_as_null
        return {name: value for name, value in fields.items() if value is not None or name in shown}


class PromptTokensDetails(ResponseModel):
    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionTokensDetails(ResponseModel):
    """All of them are text that the client is given."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    """That an engine had proposed itself, and verified several in a step."""
    rejected_prediction_tokens: int = 0


class Usage(ResponseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails = CompletionTokensDetails()
    extra: dict[str, Any] | None = None
    """How long it took, as MLC-LLM says it; only where somebody looks into the engine."""
