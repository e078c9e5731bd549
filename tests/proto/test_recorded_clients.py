"""What unmodified clients sent, recorded by us and shortened: `docs/clients.md` says which calls;
of `_source` what the code of a client says that it sends.
None of it is unknown; the model sees all messages and tools, and the answer has the form that was
asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from raylax.proto.anthropic.messages import MessagesRequest
from raylax.proto.grammar.checking import checked_grammar
from raylax.proto.openai.body import parse_body
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.warnings import collect_warnings

RECORDED = {
    f"{path.stem} {name}": call
    for path in sorted((Path(__file__).parent / "clients").glob("*.json"))
    for name, call in json.loads(path.read_text()).items()
}
ASKED = ["user"]
SECOND = ["user", "assistant", "tool"]
OF_CODEX = ["developer", "developer", "user", "user"]
NO_SEARCH = "tools: web_search cannot be run here; the model is not told of it"


class Asked(NamedTuple):
    """What the model is to see, and to answer."""

    roles: list[str]
    tools: list[str] = []
    form: str | None = None
    """Of the answer; "call": it has to call a tool."""
    warnings: list[str] = []


EXPECTED: Mapping[str, Asked] = {
    "aider_0.86.2 edit": Asked(["system", *["user", "assistant"] * 3, "user"]),
    "ai_6.0.326 generateObject_by_chat": Asked(ASKED, [], "json_schema"),
    "ai_6.0.326 generateObject_by_messages": Asked(ASKED, ["json"], "call"),
    "ai_6.0.326 generateObject_by_responses": Asked(ASKED, [], "json_schema"),
    "ai_6.0.326 second_step_by_chat": Asked(SECOND, ["bash"]),
    "ai_6.0.326 second_step_by_messages": Asked(SECOND, ["bash"]),
    "anthropic_sdk_1.14.0 parse": Asked(ASKED, [], "json_schema"),
    "anthropic_sdk_1.14.0 runner_of_tools": Asked(SECOND, ["bash"]),
    "claude_code_2.1.197 first_call": Asked(["system", "user", "system"], ["Bash", "Read"]),
    "claude_code_2.1.197 second_call": Asked(["system", "user", "system", *SECOND[1:]], ["Bash"]),
    "codex_0.171.0 first_call": Asked(
        OF_CODEX,
        ["exec_command", "multi_agent_v1__close_agent", "multi_agent_v1__resume_agent",
         "update_goal"],
        warnings=[NO_SEARCH],
    ),
    "codex_0.171.0 second_call": Asked(
        [*OF_CODEX, *SECOND[1:]], ["exec_command"], warnings=[NO_SEARCH]
    ),
    "continue_cli_1.5.47 first_call": Asked(
        ["system", "user"], ["Read", "List", "Bash", "Checklist", "AskQuestion"]
    ),
    "continue_cli_1.5.47 second_call": Asked(["system", *SECOND, "tool"], ["List"]),
    "instructor_1.17.0 ANTHROPIC_TOOLS": Asked(ASKED, ["City"], "call"),
    "instructor_1.17.0 RESPONSES_TOOLS": Asked(ASKED, ["City"], "call"),
    "instructor_1.17.0 TOOLS": Asked(ASKED, ["City"], "call"),
    "langchain_anthropic_1.7.10 function_calling": Asked(ASKED, ["City"], "call"),
    "langchain_anthropic_1.7.10 json_schema": Asked(ASKED, [], "json_schema"),
    "langchain_openai_1.4.3 function_calling": Asked(ASKED, ["City"], "call"),
    "langchain_openai_1.4.3 json_schema_by_responses": Asked(ASKED, [], "json_schema"),
    "litellm_1.110.2 chat": Asked(ASKED, [], "json_schema"),
    "litellm_1.110.2 tools_by_messages": Asked(ASKED, ["f"], "call"),
    "open_webui_source chat": Asked(["system", "user"]),
    "open_webui_source follow_ups": Asked(ASKED),
    "open_webui_source title": Asked(ASKED),
    "openai_node_6.49.0 parse": Asked(ASKED, [], "json_schema"),
    "openai_node_6.49.0 runTools_second_step": Asked(SECOND, ["bash"]),
    "outlines_1.3.3 sglang_grammar": Asked(ASKED, [], "grammar"),
    "outlines_1.3.3 sglang_regex": Asked(ASKED, [], "regex"),
    "outlines_1.3.3 vllm_grammar": Asked(ASKED, [], "grammar"),
    "outlines_1.3.3 vllm_json": Asked(ASKED, [], "json_schema"),
    "outlines_1.3.3 vllm_regex": Asked(ASKED, [], "regex"),
    "pydantic_ai_2.31.1 native_by_responses": Asked(ASKED, [], "json_schema"),
    "pydantic_ai_2.31.1 tools": Asked(ASKED, ["final_result"], "call"),
    "pydantic_ai_2.31.1 tools_by_messages": Asked(ASKED, ["final_result"], "call"),
}  # fmt: skip


def read(path: str, body: dict[str, Any]) -> ChatCompletionRequest:
    """As a router would that refuses what nobody knows."""
    raw = json.dumps(body)
    match path:
        case "/v1/messages":
            return parse_body(MessagesRequest, raw, strict_fields=True).for_chat()
        case "/v1/responses":
            return parse_body(ResponsesRequest, raw, strict_fields=True).for_chat()
    return parse_body(ChatCompletionRequest, raw, strict_fields=True)


def form_of(asked: ChatCompletionRequest) -> str | None:
    """Raises InvalidRequest if it has no grammar."""
    constraint = asked.constraint
    checked_grammar(constraint)
    return "call" if asked.must_call else constraint and constraint.kind


def test_all_are_looked_at() -> None:
    assert RECORDED.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_understood(name: str) -> None:
    warnings = collect_warnings()
    asked = read(**RECORDED[name])
    tools = [tool.function.name for tool in asked.tools or ()]
    roles: list[str] = [message.role for message in asked.messages]

    assert Asked(roles, tools, form_of(asked), warnings.said) == EXPECTED[name]
