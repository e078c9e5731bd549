"""A response as it is kept, for calls that go on from it or refer to what was said in it.

An item's id has in it that of the response in which it came up: whoever names an item names the
response that has it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.openai.responses.items import InputMessage, Item, ReasoningItem, Text
from raylax.proto.openai.responses.response import PREFIX

Said = dict[str, Any]
"""An item as it is kept and told: what its JSON has, and an id."""
RESPONSE_ID = re.compile(f"{PREFIX}[0-9a-f]{{32}}")
ITEM_ID = re.compile("[a-z]{1,8}_([0-9a-f]{32})_i?[0-9]{1,6}")
PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
}
"""Of the ids of items that clients bring, by type."""


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A response, and the items that it answers, those of earlier turns first. Both are JSON."""

    input: bytes
    response: bytes

    @property
    def size(self) -> int:
        return len(self.input) + len(self.response)

    @property
    def asked(self) -> list[Said]:
        """The items that it answers."""
        items: list[Said] = from_json(self.input)
        return items

    @property
    def output(self) -> list[Said]:
        """The items that it has."""
        items: list[Said] = from_json(self.response)["output"]
        return items


def response_of(item_id: str) -> str | None:
    """The id of the response in which an item came up; None for what is no item's id."""
    named = ITEM_ID.fullmatch(item_id)
    return None if named is None else f"{PREFIX}{named[1]}"


def quoted(id: str) -> str:
    """A client's id for a message: cut short if it cannot be one."""
    known = RESPONSE_ID.fullmatch(id) or ITEM_ID.fullmatch(id)
    return repr(id) if known else shown(id)


def as_said(item: Item, response_id: str, number: int) -> Said:
    """An item that a client has brought, by its number in the request. An output of a shell call
    has an id already: that of the call."""
    fields = item.model_dump(exclude_none=True)
    if isinstance(item, InputMessage):
        fields["content"] = list(_parts(item))
    elif isinstance(item, ReasoningItem):
        fields.setdefault("summary", [])
    id = f"{PREFIXES[item.type]}_{response_id.removeprefix(PREFIX)}_i{number}"
    return {"id": id, "status": "completed", **fields}


def _parts(message: InputMessage) -> Iterator[Said]:
    """A message's content as clients know it."""
    of_assistant = message.role == "assistant"
    content = message.content
    if isinstance(content, str):
        content = [Text(type="output_text" if of_assistant else "input_text", text=content)]
    for part in content:
        said: Said = part.model_dump()
        yield said | {"annotations": []} if part.type == "output_text" else said


def page_of(items: Sequence[Said], after: str | None, limit: int, descending: bool) -> Said:
    """At most `limit` items behind the one whose id is `after`, as lists are told. Raises
    InvalidRequest where there is no such item."""
    ordered = list(reversed(items)) if descending else list(items)
    ids = [one["id"] for one in ordered]
    if after is not None and after not in ids:
        raise InvalidRequest(f"after: no item {shown(after)} is in this list", param="after")
    first = 0 if after is None else ids.index(after) + 1
    page = ordered[first : first + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": first + limit < len(ordered),
    }
