"""Answers of Anthropic's Messages API: blocks of content, and events as they grow."""

from base64 import b64encode
from hashlib import sha256
from typing import Any, NamedTuple, assert_never

from pydantic_core import from_json, to_json

from raylax.proto.answers.writer import AnswerEvent
from raylax.proto.anthropic.answer import (
    BlockOut,
    Message,
    StopReason,
    TextOut,
    ThinkingOut,
    ToolUseOut,
    Usage,
)
from raylax.proto.anthropic.errors import error_body
from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError
from raylax.proto.parsers.base import (
    CallBegun,
    CallBroken,
    CallCut,
    CallEnded,
    CallPiece,
    Content,
    Said,
    Thought,
    ToolCall,
)

PREFIX = "msg_"
DELTA = "content_block_delta"


class TextKind(NamedTuple):
    """A block that grows by text."""

    delta: str
    field: str
    empty: BlockOut


TEXT = TextKind("text_delta", "text", TextOut(text=""))
THINKING = TextKind("thinking_delta", "thinking", ThinkingOut(thinking=""))


class MessageWriter:
    """Makes blocks of one choice's events: text, and a tool_use for each call of a tool."""

    def __init__(self, call: Call, model: str) -> None:
        self.call, self._model = call, model
        (part,) = call.parts
        assert isinstance(part, Choice)
        self._choice = part
        self._blocks = 0
        self._kind: TextKind | None = None  # of the block of text or thoughts that is open
        self._around = b""  # one of its deltas up to the text
        self._said: list[str] = []  # thoughts in it

    def begin(self) -> list[AnswerEvent]:
        message = Message(id=self.call.id, model=self._model, usage=self._usage)
        return [typed("message_start", message=message), *self.ping()]

    def ping(self) -> list[AnswerEvent]:
        return [typed("ping")]

    def add(self, event: TextEvent) -> list[AnswerEvent]:
        said: list[AnswerEvent] = []
        for one in event.in_order:
            said += self._tell(one)
        return said + self._close() if event.finish_reason else said

    def end(self) -> list[AnswerEvent]:
        delta = {
            "stop_reason": self._stop_reason,
            "stop_sequence": self._stop_sequence,
            "stop_details": None,
            "container": None,
        }
        return [typed("message_delta", delta=delta, usage=self._usage), typed("message_stop")]

    def failed(self, error: RaylaxError) -> list[AnswerEvent]:
        return [("error", to_json(error_body(error.http_status, error.message)))]

    def whole(self) -> bytes:
        (choice,) = self.call.ended_parts(Choice)
        content = list(map(block_of, choice.said))
        message = Message(
            id=self.call.id,
            model=self._model,
            content=content,
            stop_reason=self._stop_reason,
            stop_sequence=self._stop_sequence,
            usage=self._usage,
        )
        return message.model_dump_json().encode()

    @property
    def _stop_reason(self) -> StopReason:
        match self._choice.finish_reason:
            case "length":
                return "max_tokens"
            case "tool_calls":
                return "tool_use"
            case _:
                return "end_turn" if self._choice.stops.matched is None else "stop_sequence"

    @property
    def _stop_sequence(self) -> str | None:
        return self._choice.stops.matched if self._stop_reason == "stop_sequence" else None

    @property
    def _usage(self) -> Usage:
        usage = self.call.usage
        cached = usage.prompt_tokens_details.cached_tokens
        return Usage(
            input_tokens=usage.prompt_tokens - cached,
            cache_read_input_tokens=cached,
            output_tokens=usage.completion_tokens,
        )

    def _say(self, text: str, kind: TextKind) -> list[AnswerEvent]:
        opening = [] if self._kind is kind else [*self._close(), self._open(kind.empty)]
        if opening:
            self._kind, self._said = kind, []
            self._around = b'{"type":"%b","index":%d,"delta":{"type":"%b","%b":' % (
                DELTA.encode(), self._blocks, kind.delta.encode(), kind.field.encode(),
            )  # fmt: skip
        if kind is THINKING:
            self._said.append(text)
        return [*opening, (DELTA, b"%b%b}}" % (self._around, to_json(text)))]

    def _open(self, block: BlockOut) -> AnswerEvent:
        return typed("content_block_start", index=self._blocks, content_block=block)

    def _stop(self) -> AnswerEvent:
        self._blocks += 1
        return typed("content_block_stop", index=self._blocks - 1)

    def _close(self) -> list[AnswerEvent]:
        """Ends the block of text or thoughts, if one is open."""
        kind, self._kind = self._kind, None
        if kind is None:
            return []
        if kind is not THINKING:
            return [self._stop()]
        delta = {"type": "signature_delta", "signature": signature_of("".join(self._said))}
        return [typed(DELTA, index=self._blocks, delta=delta), self._stop()]

    def _tell(self, one: Content) -> list[AnswerEvent]:
        match one:
            case str():
                return self._say(one, TEXT)
            case Thought(text):
                return self._say(text, THINKING)
            case CallBegun():
                return [*self._close(), self._open(ToolUseOut(id=one.id, name=one.name, input={}))]
            case CallPiece():
                partial = {"type": "input_json_delta", "partial_json": one.arguments}
                return [typed(DELTA, index=self._blocks, delta=partial)]
            case CallEnded() | CallBroken() | CallCut():
                return [self._stop()]
        return []


def typed(type: str, **fields: Any) -> AnswerEvent:
    return type, to_json({"type": type, **fields})


def block_of(one: Said) -> BlockOut:
    """A block of the whole answer."""
    match one:
        case str():
            return TextOut(text=one)
        case Thought(text):
            return ThinkingOut(thinking=text, signature=signature_of(text))
        case ToolCall():
            return ToolUseOut(id=one.id, name=one.name, input=object_in(one))
    assert_never(one)


def object_in(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call; of one that is cut as far as they are known, as Anthropic's clients
    make them of its deltas."""
    found: dict[str, Any] = from_json(call.arguments, allow_partial=call.cut)
    return found


def signature_of(thought: str) -> str:
    """Clients send it back with the thought, and look for one that is not empty."""
    return b64encode(sha256(thought.encode()).digest()).decode()
