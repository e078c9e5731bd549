"""What is kept of a conversation says to the model what its items said themselves."""

from typing import Any

import pytest
from openai._models import construct_type
from openai.types.responses import ResponseItem
from pydantic_core import to_json

from raylax.proto.errors import InvalidRequest, NotFound, PreviousResponseNotFound
from raylax.proto.openai.body import validated
from raylax.proto.openai.responses.conversation import answering, items_for, needed_by
from raylax.proto.openai.responses.kept import KeptResponse
from raylax.proto.openai.responses.request import MOST_ITEMS, ResponsesRequest
from raylax.proto.warnings import collect_warnings

ID, EARLIER = f"resp_{'1' * 32}", f"resp_{'e' * 32}"
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "s"},
    {"role": "developer", "content": [{"type": "input_text", "text": "d"}]},
    {"role": "user", "content": [{"type": "input_text", "text": t} for t in ("a", "b")]},
    {"role": "assistant", "content": "said"},
    {"type": "message", "role": "assistant", "id": "m", "status": "completed",
     "content": [{"type": "output_text", "text": "o", "annotations": []},
                 {"type": "refusal", "refusal": "no"}]},
]  # fmt: skip
CALLS: list[dict[str, Any]] = [
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "namespace": "n", "arguments": "{"},
    {"type": "function_call_output", "call_id": "c", "output": "out"},
    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "t"}]},
    {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "in"},
    {"type": "custom_tool_call_output", "call_id": "d",
     "output": [{"type": "input_text", "text": "p"}]},
    {"type": "local_shell_call", "call_id": "e", "id": "l", "status": "completed",
     "action": {"type": "exec", "command": ["ls"], "env": {"A": "b"}, "timeout_ms": 3}},
    {"type": "local_shell_call_output", "id": "e", "output": "files"},
]  # fmt: skip
OUTPUT: list[dict[str, Any]] = [
    {"id": f"rs_{'e' * 32}_0", "type": "reasoning", "status": "completed", "summary": [],
     "content": [{"type": "reasoning_text", "text": "hm"}], "encrypted_content": None},
    {"id": f"msg_{'e' * 32}_1", "type": "message", "role": "assistant", "status": "incomplete",
     "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": []}]},
    {"id": f"fc_{'e' * 32}_2", "type": "function_call", "status": "completed", "call_id": "q",
     "name": "f", "namespace": None, "arguments": "{}"},
]  # fmt: skip


def asking(input: Any, **fields: Any) -> ResponsesRequest:
    return validated(ResponsesRequest, {"input": input, **fields})


def kept(input: Any, output: list[dict[str, Any]], id: str = EARLIER) -> dict[str, KeptResponse]:
    """A response of this id, that answered `input`."""
    items = items_for(asking(input), id, {}, "")
    return {id: KeptResponse(to_json(items), to_json({"output": output}))}


@pytest.mark.parametrize("input", ["hi", MESSAGES, CALLS, [*MESSAGES, *CALLS]])
def test_what_is_kept_says_what_its_items_said(input: Any) -> None:
    """To the model; and a response that goes on from it is asked what its client would ask by
    sending all of it."""
    items: list[Any] = [{"role": "user", "content": "hi"}] if input == "hi" else input
    alone = asking([*items, *OUTPUT, *items])
    before = kept(input, OUTPUT)
    body = asking(input, previous_response_id=EARLIER)
    warned = collect_warnings()
    together = answering(body, items_for(body, ID, before, ""))

    assert together.for_chat() == alone.for_chat()
    assert needed_by(body) == {EARLIER}
    assert warned.said == []


def test_items_are_what_clients_know() -> None:
    """Each is told in full: as one of the types of OpenAI's client, with an id of its own."""
    items = items_for(asking([*MESSAGES, *CALLS]), ID, {}, "")
    for item in items:
        known: Any = construct_type(type_=ResponseItem, value=item)
        if item["type"] != "local_shell_call":  # of which an empty env is another prompt
            type(known).model_validate(item)

    assert len({item["id"] for item in items}) == len(items)


def test_a_reference_is_the_item() -> None:
    """Of what was asked, or answered; whoever needs it asks for the response that has it."""
    before = kept(MESSAGES, OUTPUT)
    asked = before[EARLIER].asked
    for item in (*asked, *OUTPUT):
        body = asking([{"type": "item_reference", "id": item["id"]}])

        assert needed_by(body) == {EARLIER}
        assert items_for(body, ID, before, "") == [item]


def test_what_is_not_there() -> None:
    """Says why it may be so; the field is the client's own."""
    with pytest.raises(PreviousResponseNotFound, match=f"{EARLIER}' not found: so it is"):
        items_for(asking("a", previous_response_id=EARLIER), ID, {}, "so it is")
    for id in (f"msg_{'e' * 32}_9", "x" * 100):
        body = asking([{"role": "user", "content": "a"}, {"type": "item_reference", "id": id}])
        with pytest.raises(NotFound, match=r"input\.1: .* not found: so it is") as caught:
            items_for(body, ID, kept("a", OUTPUT), "so it is")
        assert caught.value.param == "input.1"


def test_a_conversation_has_no_more_items_than_a_request() -> None:
    """However it came together."""
    body = asking([{"role": "user", "content": "a"}], previous_response_id=EARLIER)
    full = [{"role": "user", "content": "a"}] * (MOST_ITEMS - 4)
    assert len(items_for(body, ID, kept(full, OUTPUT), "")) == MOST_ITEMS
    with pytest.raises(InvalidRequest, match=f"with the {MOST_ITEMS} of .* has {MOST_ITEMS + 1}"):
        items_for(body, ID, kept([*full, *full[:1]], OUTPUT), "")
