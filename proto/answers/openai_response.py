"""Answers of OpenAI's Responses API: items of output, and events as they grow."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic_core import to_json

from raylax.proto.answers.response_calls import CallOut, call_item
from raylax.proto.answers.writer import AnswerEvent
from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.responses.response import (
    PREFIX,
    IncompleteDetails,
    InputTokensDetails,
    OutputCustomCall,
    OutputItem,
    OutputMessage,
    OutputReasoning,
    OutputReasoningText,
    OutputText,
    OutputTokensDetails,
    Response,
    ResponseError,
    ResponseUsage,
    Status,
)
from raylax.proto.openai.responses.tools import CalledTool, called
from raylax.proto.openai.shared import Usage
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


class TextKind(NamedTuple):
    """Items that grow by text: what the model says, or thinks."""

    name: str
    """In the names of their events."""
    prefix: str
    """Of their ids."""
    part: Callable[[str], OutputText | OutputReasoningText]
    item: Callable[[str, Status, str | None], OutputItem]
    """Of an id, a status and a text; None: it has just begun."""
    more: dict[str, Any]
    """Fields of their deltas."""


def message_of(id: str, status: Status, text: str | None) -> OutputMessage:
    content = [] if text is None else [OutputText(text=text)]
    return OutputMessage(id=id, status=status, content=content)


def thoughts_of(id: str, status: Status, text: str | None) -> OutputReasoning:
    content = [] if text is None else [OutputReasoningText(text=text)]
    return OutputReasoning(id=id, status=status, content=content)


MESSAGE = TextKind(
    "output_text", "msg", lambda text: OutputText(text=text), message_of, {"logprobs": []}
)
THOUGHTS = TextKind(
    "reasoning_text", "rs", lambda text: OutputReasoningText(text=text), thoughts_of, {}
)


class ResponseWriter:
    """Makes items of one choice's events: a message for text, reasoning for thoughts, a
    function_call for each call of a tool."""

    def __init__(self, call: Call, body: ResponsesRequest, model: str, created: int) -> None:
        self.call, self._model, self._created = call, model, created
        self._body = body.model_copy(update={"input": ""})  # which is not given back
        self.stored = False
        """Whether the response is kept."""
        self._ended: Response | None = None
        (self._choice,) = call.parts
        self._items: list[OutputItem] = []
        self._kind: TextKind | None = None  # of the last item, if it is open, and no call
        self._said: list[str] = []  # in it
        self._around = b""  # a delta up to where deltas differ
        self._called = CalledTool("function", "")  # by the call that is open
        self._arguments: list[str] = []  # of it
        self._events = 0

    def begin(self) -> list[AnswerEvent]:
        response = self._response("in_progress")
        return [
            self._event(f"response.{when}", response=response)
            for when in ("created", "in_progress")
        ]

    def ping(self) -> list[AnswerEvent]:
        return []

    def add(self, event: TextEvent) -> list[AnswerEvent]:
        said: list[AnswerEvent] = []
        for one in event.in_order:
            said += self._tell(one)
        if event.finish_reason:
            said += [] if self._items else self._open(MESSAGE)
            said += self._close(self._status)
        return said

    def end(self) -> list[AnswerEvent]:
        self._ended = self._response(self._status)
        return [self._event(f"response.{self._status}", response=self._ended)]

    def failed(self, error: RaylaxError) -> list[AnswerEvent]:
        self._ended = self._response("failed")
        self._ended.error = ResponseError(code=error.code or error.kind, message=error.message)
        return [self._event("response.failed", response=self._ended)]

    def whole(self) -> bytes:
        (choice,) = self.call.ended_parts(Choice)
        contents = [news for one in choice.said for news in news_of(one)]
        self.add(TextEvent.of(choice.index, contents, (), choice.finish_reason))
        self._ended = self._response(self._status)
        return self.written()

    def written(self) -> bytes:
        """The response as it has ended, also behind its events."""
        assert self._ended is not None
        return self._ended.model_dump_json().encode()

    @property
    def _status(self) -> Status:
        return "incomplete" if self._choice.finish_reason == "length" else "completed"

    def _response(self, status: Status) -> Response:
        return Response.to(
            self._body,
            id=self.call.id,
            created_at=self._created,
            status=status,
            model=self._model,
            store=self.stored,
            output=list(self._items),
            incomplete_details=IncompleteDetails() if status == "incomplete" else None,
            usage=None if status == "in_progress" else usage_of(self.call.usage),
        )

    def _event(self, type: str, **fields: Any) -> AnswerEvent:
        event = {"type": type, "sequence_number": self._number(), **fields}
        return type, to_json(event)

    def _number(self) -> int:
        self._events += 1
        return self._events - 1

    def _of_item(self, type: str, **fields: Any) -> AnswerEvent:
        """An event of the last item."""
        at, item_id = len(self._items) - 1, self._items[-1].id
        return self._event(f"response.{type}", item_id=item_id, output_index=at, **fields)

    def _item(self, when: str) -> AnswerEvent:
        at, item = len(self._items) - 1, self._items[-1]
        return self._event(f"response.output_item.{when}", output_index=at, item=item)

    def _new_id(self) -> str:
        """Of the next item, behind what says its kind."""
        return f"{self.call.id.removeprefix(PREFIX)}_{len(self._items)}"

    def _say(self, text: str, kind: TextKind) -> list[AnswerEvent]:
        opening = [] if self._kind is kind else [*self._close("completed"), *self._open(kind)]
        self._said.append(text)
        json = b'%b,"sequence_number":%d,"delta":%b}' % (
            self._around, self._number(), to_json(text),
        )  # fmt: skip
        return [*opening, (f"response.{kind.name}.delta", json)]

    def _open(self, kind: TextKind) -> list[AnswerEvent]:
        item_id, at = f"{kind.prefix}_{self._new_id()}", len(self._items)
        self._items.append(kind.item(item_id, "in_progress", None))
        self._kind, self._said = kind, []
        same = {"type": f"response.{kind.name}.delta", "item_id": item_id, "output_index": at}
        self._around = to_json({**same, "content_index": 0, **kind.more})[:-1]
        return [
            self._item("added"),
            self._of_item("content_part.added", content_index=0, part=kind.part("")),
        ]

    def _close(self, status: Status) -> list[AnswerEvent]:
        """Ends the message, or the thoughts, if any are open."""
        kind, self._kind = self._kind, None
        if kind is None:
            return []
        text = "".join(self._said)
        self._items[-1] = kind.item(self._items[-1].id, status, text)
        return [
            self._of_item(f"{kind.name}.done", content_index=0, text=text, **kind.more),
            self._of_item("content_part.done", content_index=0, part=kind.part(text)),
            self._item("done"),
        ]

    def _tell(self, one: Content) -> list[AnswerEvent]:
        match one:
            case str():
                return self._say(one, MESSAGE)
            case Thought(text):
                return self._say(text, THOUGHTS)
            case CallBegun():
                return [*self._close("completed"), *self._begin_call(one)]
            case CallPiece():
                return self._add_to_call(one.arguments)
            case CallEnded():
                return self._end_call("completed")
            case CallBroken() | CallCut():
                return self._end_call("incomplete")
        return []

    def _begin_call(self, call: CallBegun) -> list[AnswerEvent]:
        self._called, self._arguments = called(self._body.tools, call.name), []
        self._items.append(call_item(self._called, self._new_id(), "in_progress", call.id, ""))
        return [self._item("added")]

    def _add_to_call(self, arguments: str) -> list[AnswerEvent]:
        """The text for a custom tool is a part of its arguments: it is told once it is whole."""
        self._arguments.append(arguments)
        if self._called.kind == "custom":
            return []
        return [self._of_item("function_call_arguments.delta", delta=arguments)]

    def _end_call(self, status: Status) -> list[AnswerEvent]:
        """The item of the call as it has become: what is cut or broken stays incomplete."""
        begun, written = self._items.pop(), "".join(self._arguments)
        assert isinstance(begun, CallOut)
        item = call_item(self._called, self._new_id(), status, begun.call_id, written)
        self._items.append(item)
        if isinstance(item, OutputCustomCall):
            return [
                self._of_item("custom_tool_call_input.delta", delta=item.input),
                self._of_item("custom_tool_call_input.done", input=item.input),
                self._item("done"),
            ]
        return [
            self._of_item("function_call_arguments.done", name=item.name, arguments=written),
            self._item("done"),
        ]


def news_of(one: Said) -> list[Content]:
    """What is whole as if it had come piece by piece."""
    if not isinstance(one, ToolCall):
        return [one]
    begun = CallBegun(one.index, one.id, one.name)
    end = CallCut(one.index) if one.cut else CallEnded(one.index)
    return [begun, CallPiece(one.index, one.arguments), end]


def usage_of(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=InputTokensDetails(
            cached_tokens=usage.prompt_tokens_details.cached_tokens
        ),
        output_tokens=usage.completion_tokens,
        output_tokens_details=OutputTokensDetails(
            reasoning_tokens=usage.completion_tokens_details.reasoning_tokens
        ),
        total_tokens=usage.total_tokens,
    )
