"""Items of the Responses API for calls of tools: of functions, and of what has become one."""

from pydantic_core import from_json

from raylax.proto.openai.responses.response import OutputCall, OutputCustomCall, Status
from raylax.proto.openai.responses.tools import INPUT, CalledTool

CallOut = OutputCall | OutputCustomCall


def call_item(tool: CalledTool, id: str, status: Status, call_id: str, arguments: str) -> CallOut:
    """The item of a call with these arguments, which are empty while it has just begun."""
    same = {"status": status, "call_id": call_id, "name": tool.name, "namespace": tool.namespace}
    if tool.kind == "custom":
        return OutputCustomCall(id=f"ctc_{id}", input=text_in(arguments), **same)
    return OutputCall(id=f"fc_{id}", arguments=arguments, **same)


def text_in(arguments: str) -> str:
    """What a custom tool is given, which takes a text, as far as it has come: what the model wrote,
    where that is not in the form that it was told."""
    try:
        value = from_json(arguments, allow_partial="trailing-strings")
    except ValueError:
        return arguments
    text = value.get(INPUT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments
