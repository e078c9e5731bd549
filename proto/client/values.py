"""What a client is given: plain frozen values, without a trace of protobuf."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from raylax.proto.timeline import Explanation


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the client's functions. Its arguments are JSON."""

    id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """News of a call. The first of a call has its id and its name; in all others its arguments go
    on."""

    id: str
    name: str
    arguments_json: str
    index: int
    """Which call of its choice it is, from 0."""
    broken: str
    """Not empty: it was no call after all, but this text."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with its log-probability."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """The most likely tokens at its place, with their log-probabilities."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request: of its prompt, its answer, and those of the prompt found in a cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int = 0
    """Tokens of the answer that were thoughts."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something new of one choice of an answer. A choice's last part has a `finish_reason`."""

    id: str
    model: str
    choice: int
    text: str = ""
    reasoning: str = ""
    """What the model thinks before it speaks."""
    tool_calls: tuple[ToolCallPart, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    """On the last part of the answer."""
    sequence: int = 0
    """Counts the parts of an answer that can be resumed, from 1."""
    explanation: Explanation | None = None
    """On the first part, if it was asked for."""
    token_ids: tuple[int, ...] = ()
    """Of what it says, if they were asked for."""
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    """On the last part, if they were asked for: of the prompt's tokens but the first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers to a request."""

    text: str
    finish_reason: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    token_ids: tuple[int, ...] = ()
    """If they were asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Most have one choice: `text` is that one's."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    explanation: Explanation | None = None
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    """Of the prompt's tokens but the first, if they were asked for."""

    @property
    def text(self) -> str:
        return self.choices[0].text


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of an embedding call."""

    model: str
    vectors: tuple[tuple[float, ...], ...]
    """In the order of the inputs."""
    usage: Usage


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the cluster serves."""

    id: str
    max_model_len: int
    """Prompt and answer together."""


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody has said in a conversation."""

    role: str
    """system, user, assistant or tool."""
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""
    reasoning_content: str = ""
    """What the assistant thought before it spoke, for templates that show it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """JSON schema."""
    strict: bool = False
    """Whether arguments are what that says, always."""
