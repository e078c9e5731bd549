"""What a choice says, below any API: OpenAI's chunks and gRPC's replies are made of these."""

from dataclasses import dataclass

from raylax.proto.tools import ToolCall


@dataclass(frozen=True, slots=True)
class TextLogprob:
    """A token as text with its log-probability, and the most likely ones at its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class TextEvent:
    """Something new of one choice. The last event of a choice has `finish_reason`."""

    choice: int
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TextLogprob, ...] = ()
    finish_reason: str | None = None
