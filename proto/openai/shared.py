"""What requests and answers of all APIs have in common."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from raylax.proto import ranges
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai.body import STREAMED, BoundedList, StrictModel
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.fields import DEBUG_CONFIG, STREAM_OPTIONS
from raylax.proto.openai.structure import ResponseFormat, StructureFields
from raylax.proto.openai.telling import TellingFields
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
MOST_CHOICES = 16
MOST_STOPS = 16
LONGEST_STOP = 1024
MOST_BIASES = MOST_ALLOWED = 16384
MOST_BAD_WORDS = 128
LONGEST_BAD_WORD = 128

FINGERPRINT = f"fp_raylax_{version('raylax')}"
"""What answers say of the system that made them."""


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


class StreamOptions(StrictModel):
    not_here: ClassVar[FieldTable] = STREAM_OPTIONS
    include_usage: bool = False
    continuous_usage_stats: bool = False
    """Whether each chunk has the usage so far. It says nothing without `include_usage`."""


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


class CommonFields(StructureFields):
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

    @model_validator(mode="before")
    @classmethod
    def _streamed_if_left_out(cls, fields: Any, info: ValidationInfo) -> Any:
        streamed = isinstance(fields, dict) and bool((info.context or {}).get(STREAMED))
        return {**fields, "stream": True} if streamed and fields.get("stream") is None else fields

    def common(self) -> dict[str, Any]:
        """These fields, for a body of another API."""
        return {name: getattr(self, name) for name in CommonFields.model_fields}


class SamplingFields(CommonFields, TellingFields):
    """The fields that chat completions and completions have in common."""

    n: int = Field(1, ge=1, le=MOST_CHOICES)
    stop: StopString | Annotated[list[StopString], BoundedList(MOST_STOPS)] | None = None
    max_tokens: Count | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Biases | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    debug_config: DebugConfig | None = None
    _form: Constraint | None = None

    def in_form(self, constraint: Constraint | None) -> Self:
        """The same, for an answer of a form that its own fields do not say: those of another API
        did."""
        self._form = constraint
        return self

    def _constraints(self) -> Iterator[Constraint]:
        if self._form is not None:
            yield self._form
        if self.response_format is not None:
            found = self.response_format.constraint("response_format")
            yield from () if found is None else (found,)
        yield from super()._constraints()

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def drawn(self) -> int:
        """How many answers to a prompt are drawn."""
        return self.n

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def counts_on(self) -> bool:
        """Whether each chunk of a stream says how many tokens there are so far."""
        return self.include_usage and bool(
            self.stream_options and self.stream_options.continuous_usage_stats
        )

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
        self.check_telling(self.stop_token_ids, self.stream)
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
