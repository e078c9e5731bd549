"""Tool calls in generated text, however it is cut into pieces."""

import json

import pytest

from raylax.proto.parsers.hermes import HermesToolParser

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def read(text: str, size: int) -> tuple[str, list[tuple[str, str]]]:
    calls = HermesToolParser("c")
    found = [calls.add(text[i : i + size]) for i in range(0, len(text), size)] + [calls.finish()]
    said = "".join(one.text for one in found)
    return said, [(call.name, call.arguments) for one in found for call in one.calls]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "said", "count"),
    [
        ("plain text, a < b", "plain text, a < b", 0),
        (CALL, "", 1),
        (f"Let me look. {CALL}{CALL}", "Let me look. ", 2),
        (f"{CALL}\n{CALL} done", " done", 2),
        ("<tool_call>not JSON</tool_call>", "<tool_call>not JSON</tool_call>", 0),
        ('<tool_call>{"name": 1}</tool_call>x', '<tool_call>{"name": 1}</tool_call>x', 0),
        ("an open <tool_call>{", "an open <tool_call>{", 0),
        (CALL.removesuffix("</tool_call>"), "", 1),
        ("ends with <tool_", "ends with <tool_", 0),
    ],
)
def test_calls_are_taken_out_and_all_else_stays(
    text: str, said: str, count: int, size: int
) -> None:
    """What looks like a call and is none is text."""
    heard, calls = read(text, size)

    assert heard == said
    assert calls == [("get_weather", json.dumps({"city": "Paris"}))] * count


def test_ids_follow_from_the_call() -> None:
    """A replay gives the same ones."""
    first, second = (HermesToolParser("c").add(CALL * 2).calls for _ in range(2))

    assert [call.id for call in first] == ["call_c_0", "call_c_1"] == [c.id for c in second]
