"""Streams of raylax.v1, put together by its client."""

from raylax.proto.calls.events import TextEvent
from raylax.proto.client import replies
from raylax.proto.client.values import Choice, ToolCall
from raylax.proto.grpc_api import chat_reply
from raylax.proto.parsers.base import CallBegun, CallBroken, CallEnded, CallPiece, Content


def heard(*events: list[Content]) -> Choice:
    said = [chat_reply("c", "tiny", TextEvent.of(0, contents)) for contents in events]
    return replies.choice([replies.part(one) for one in said])


def test_calls_come_in_parts() -> None:
    """Of several calls each has its own arguments; a stream's parts say what came when."""
    first: list[Content] = [CallBegun(0, "a", "f"), CallPiece(0, '{"x"'), CallPiece(0, ": 1")]
    choice = heard(
        ["hi"], [*first], [CallPiece(0, "}"), CallEnded(0)],
        [CallBegun(1, "b", "g"), CallPiece(1, "{}"), CallEnded(1)],
    )  # fmt: skip

    assert choice.tool_calls == (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))
    assert choice.text == "hi"


def test_a_broken_call_is_text() -> None:
    begun: list[Content] = ["I ", CallBegun(0, "a", "f"), CallPiece(0, '{"x"')]
    choice = heard(begun, [CallBroken(0, '<call>{"x"'), " oops"])

    assert (choice.tool_calls, choice.text) == ((), 'I <call>{"x" oops')
