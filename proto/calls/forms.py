"""The form that the answer to a chat is to have, by what it is asked for and by how its model
writes calls of tools."""

from collections.abc import Mapping
from dataclasses import asdict

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.parsers.tools.kind import CallFormat


def form_of(
    body: ChatCompletionRequest, format: CallFormat, special: Mapping[str, int]
) -> Constraint | None:
    """None: any. `special`: ids of the format's marks that are special tokens."""
    form, tools = body.constraint, [tool.function for tool in body.offered]
    held = form is not None or any(one.strict or one.input is not None for one in tools)
    if not (body.must_call or (tools and held)):
        return form
    value = {
        "format": asdict(format),
        "tools": [
            (one.name, one.parameters, one.strict, one.input and tuple(one.input)) for one in tools
        ],
        "must": body.must_call,
        "parallel": body.parallel_tool_calls,
        "special": dict(special),
        "form": None if form is None or body.must_call else tuple(form),
    }
    return Constraint("calls", value, "tools")
