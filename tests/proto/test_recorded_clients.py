"""What coding agents sent, recorded by us and shortened: the first call of `codex exec` and of
`claude -p`, unmodified. None of it is unknown, and all that the model is to see it sees."""

from pathlib import Path

from raylax.proto.anthropic.messages import MessagesRequest
from raylax.proto.openai.body import parse_body
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.warnings import collect_warnings

RECORDED = Path(__file__).parent / "clients"


def shown(asked: ChatCompletionRequest) -> tuple[list[str], list[str]]:
    """The roles of messages, and the names of tools."""
    tools = [tool.function.name for tool in asked.tools or ()]
    return [message.role for message in asked.messages], tools


def test_codex() -> None:
    warnings = collect_warnings()
    raw = (RECORDED / "codex_0.171.0.json").read_bytes()
    body = parse_body(ResponsesRequest, raw, strict_fields=True)

    assert warnings.said == ["tools: web_search cannot be run here; the model is not told of it"]
    assert shown(body.for_chat()) == (
        ["developer", "developer", "user", "user"],
        ["exec_command", "multi_agent_v1__close_agent", "multi_agent_v1__resume_agent",
         "update_goal"],
    )  # fmt: skip


def test_claude_code() -> None:
    warnings = collect_warnings()
    raw = (RECORDED / "claude_code_2.1.197.json").read_bytes()
    body = parse_body(MessagesRequest, raw, strict_fields=True)

    assert warnings.said == []
    assert shown(body.for_chat()) == (["system", "user", "system"], ["Bash", "Read"])
