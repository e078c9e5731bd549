"""What a model's frontend asks of the fields that make a prompt, in each API."""

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.anthropic.messages import MessagesRequest
from raylax.proto.calls.choice import Choice
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.body import parse_body
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.tokenize import TokenizeRequest
from raylax.proto.parsers.base import ToolCall
from raylax.proto.text.chat_template import ChatTemplate, ChatTemplates
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish
from raylax.proto.warnings import collect_warnings
from tests.support.prompt_families import CALLS, MARKED_TURNS, TURNS, PromptFamily
from tests.support.prompt_tokenizers import byte_level

TOLD = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{{ reasoning_effort }}|{{ more }}{% for d in documents or [] %}[{{ d.text }}]{% endfor %}"
    "{% if add_generation_prompt %}<say>{% endif %}"
)
TOOL = {"type": "function", "function": {"name": "look"}}
ASKED: dict[str, Any] = {
    "chat_template_kwargs": {"more": 1},
    "reasoning_effort": "low",
    "documents": [{"text": "d"}],
}


@pytest.fixture(scope="module")
def frontend(checkpoint: Path) -> Iterator[Frontend]:
    loaded = Frontend.load(TextFiles(checkpoint), "tiny", 256, random.Random(1))
    yield with_template(loaded, TOLD)


def with_template(frontend: Frontend, source: str) -> Frontend:
    return replace(frontend, templates=ChatTemplates({"default": ChatTemplate(source)}))


def chat_of(**fields: Any) -> ChatCompletionRequest:
    said = [{"role": "user", "content": "hi"}]
    return parse_body(ChatCompletionRequest, json.dumps({"messages": said, **fields}))


def test_every_api_tells_the_template(frontend: Frontend) -> None:
    """The same fields, and those that mean the same."""
    said = [{"role": "user", "content": "hi"}]
    responses = parse_body(ResponsesRequest, json.dumps({"input": "hi", **ASKED}))
    messages = parse_body(MessagesRequest, json.dumps({"messages": said, "max_tokens": 1, **ASKED}))
    tokenize = parse_body(TokenizeRequest, json.dumps({"messages": said, **ASKED}))
    effort = {"reasoning": {"effort": "low"}, "reasoning_effort": None}
    by_effort = parse_body(ResponsesRequest, json.dumps({"input": "hi", **ASKED, **effort}))
    made = [
        chat_of(**ASKED),
        *(one.for_chat() for one in (responses, messages, tokenize, by_effort)),
    ]

    assert {frontend.prompt_of(one) for one in made} == {"<user>hilow|1[d]<say>"}


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({}, "<say>"),
        ({"add_generation_prompt": False}, "|"),
        ({"continue_final_message": True}, "hi"),
        ({"continue_final_message": True, "add_generation_prompt": False}, "hi"),
    ],
)
def test_where_the_prompt_ends(frontend: Frontend, fields: dict[str, Any], end: str) -> None:
    assert frontend.prompt_of(chat_of(**fields)).endswith(end)


def test_an_answer_of_messages_goes_on_with_its_given_beginning(frontend: Frontend) -> None:
    """As Anthropic's does, when the assistant is the last who spoke."""
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well, "}]
    body = parse_body(MessagesRequest, json.dumps({"messages": said, "max_tokens": 1}))

    assert frontend.prompt_of(body.for_chat()) == "<user>hi<assistant>Well, "


def test_tools_that_the_template_does_not_show(frontend: Frontend) -> None:
    """Clients of a server are refused; who has the model at hand is warned. Tools that may not be
    called are none."""
    body, served = chat_of(tools=[TOOL]), replace(frontend, tools_must_show=True)
    said = collect_warnings()

    frontend.prompt_of(body)
    assert "the chat template of tiny shows no tools" in said.headers()["warnings"]
    with pytest.raises(InvalidRequest, match="the chat template of tiny shows no tools") as caught:
        served.prompt_of(body)
    assert caught.value.param == "tools"
    assert served.prompt_of(chat_of(tools=[TOOL], tool_choice="none"))
    shows = with_template(served, "{{ tools }}")
    assert "look" in shows.prompt_of(body)


@pytest.mark.parametrize("arguments", ["", " ", "null", "{}"])
def test_arguments_of_nothing_are_an_empty_object(frontend: Frontend, arguments: str) -> None:
    calls = "{{ messages[0].tool_calls[0].function.arguments | tojson }}"

    assert with_template(frontend, calls).prompt_of(calling(arguments)) == "{}"


@pytest.mark.parametrize("arguments", ["{]", "[1]", "7", '"x"', '{"x": NaN}', "1" * 5000])
def test_arguments_that_are_no_object_stay_text(frontend: Frontend, arguments: str) -> None:
    """A model may have written them: whoever sends them back is not refused."""
    calls = "{{ messages[0].tool_calls[0].function.arguments }}"

    assert with_template(frontend, calls).prompt_of(calling(arguments)) == arguments


def calling(arguments: str) -> ChatCompletionRequest:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return chat_of(messages=[{"role": "assistant", "content": None, "tool_calls": [call]}])


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_what_was_thought_reaches_the_template(frontend: Frontend, name: str) -> None:
    """By each of its names; and a content that is null is an empty text."""
    shows = (
        "{{ messages[0].reasoning_content }}|{{ messages[0].tool_plan }}|{{ messages[0].content }}"
    )
    turn = {"role": "assistant", "content": "said", name: "because", "tool_plan": "look"}

    prompt = with_template(frontend, shows).prompt_of(chat_of(messages=[turn]))
    assert prompt == "because|look|said"
    assert with_template(frontend, "<{{ messages[0].content }}>").prompt_of(calling("")) == "<>"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"name": "f"}, {"name": "f", "parameters": {"type": "object", "properties": {}}}),
        ({"name": "f", "description": "", "parameters": {}},
         {"name": "f", "description": "", "parameters": {}}),
    ],
)  # fmt: skip
def test_tools_reach_the_template_as_they_were_given(
    frontend: Frontend, given: dict[str, Any], shown: dict[str, Any]
) -> None:
    """Nothing is made up but the parameters of a function that has none, which templates list."""
    body = chat_of(tools=[{"type": "function", "function": given}])

    prompt = with_template(frontend, "{{ tools[0].function | tojson }}").prompt_of(body)
    assert json.loads(prompt) == shown


def test_documents_that_the_template_does_not_show_are_refused(frontend: Frontend) -> None:
    with pytest.raises(InvalidRequest, match="shows no documents"):
        with_template(frontend, "{{ messages }}").prompt_of(chat_of(documents=[{"text": "d"}]))


@pytest.mark.parametrize(
    ("name", "reason", "called"), [("look", "tool_calls", ["look"]), ("other", "stop", [])]
)
def test_a_call_is_one_of_an_offered_function(
    tmp_path: Path, name: str, reason: str, called: list[str]
) -> None:
    """Any other is text. Its marks are found where they are special tokens, too."""
    marks = PromptFamily(lambda: byte_level([*TURNS, *CALLS]), {"chat_template": MARKED_TURNS})
    marks.write(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 600, "hidden_size": 8}))
    loaded = Frontend.load(TextFiles(tmp_path), "tiny", 4096)
    asked = {"messages": [{"role": "user", "content": "x"}], "tools": [TOOL]}
    call = loaded.chat(ChatCompletionRequest.model_validate(asked))
    text = f'<tool_call>{{"name": "{name}", "arguments": {{}}}}</tool_call>'

    ids = tuple(loaded.tokenizer.encode(text, False))
    call.feed(Delta(call.requests[0].id, ids, finish=Finish.STOP))
    (choice,) = call.ended_parts(Choice)
    assert choice.finish_reason == reason
    assert [one.name for one in choice.said if isinstance(one, ToolCall)] == called
    assert choice.text == ("" if called else text)


def test_a_special_token_among_the_models_stop_strings_ends_an_answer_by_itself(
    checkpoint: Path, tmp_path: Path
) -> None:
    """The engine then ends with that token; text would never have its name."""
    path = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    (path / "generation_config.json").write_text('{"stop_strings": ["<|im_start|>", "User:"]}')
    loaded = Frontend.load(TextFiles(path), "tiny", 256)

    (request,) = loaded.chat(chat_of()).requests
    assert loaded.tokenizer.special_id("<|im_start|>") in request.stop_token_ids
    (request,) = loaded.chat(chat_of(ignore_eos=True)).requests
    assert not request.stop_token_ids


@pytest.mark.parametrize("told", ["xml", 5, ["hermes"]])
def test_a_format_of_tool_calls_that_nobody_knows(
    checkpoint: Path, tmp_path: Path, told: object
) -> None:
    """Is named with its file, and with those that are known."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tool_format": told}))

    with pytest.raises(ValueError, match="tokenizer_config.json: tool_format must be one of her"):
        Frontend.load(TextFiles(copy), "tiny", 64)


@pytest.mark.parametrize(
    ("told", "shown", "chosen", "format"),
    [
        (None, "", "auto", "hermes"),
        (None, "[TOOL_CALLS]", "auto", "mistral"),
        ("python", "[TOOL_CALLS]", "auto", "python"),
        ("python", "[TOOL_CALLS]", "json", "json"),
    ],
)
def test_the_format_of_tool_calls_is_chosen(
    checkpoint: Path, tmp_path: Path, told: str | None, shown: str, chosen: str, format: str
) -> None:
    """By whoever serves the model, or else by its files, or by what its template shows."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    file = copy / "tokenizer_config.json"
    settings = json.loads(file.read_text()) | {"tool_format": told}
    settings["chat_template"] += "{# " + shown + " #}"
    file.write_text(json.dumps(settings))

    loaded = Frontend.load(TextFiles(copy), "tiny", 64, tool_parser=chosen)
    assert loaded.tool_format == format


THOUGHT: list[Any] = [
    (MessagesRequest, {"max_tokens": 1, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "because", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "b"},
        ]},
        {"role": "user", "content": "c"},
    ]}),
    (ResponsesRequest, {"input": [
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs", "summary": [], "content": [
            {"type": "reasoning_text", "text": "because"},
        ]},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]}),
    (ResponsesRequest, {"input": [
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs", "encrypted_content": None, "summary": [
            {"type": "summary_text", "text": "because"},
        ]},
        {"type": "message", "role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), THOUGHT)
def test_thoughts_of_a_history_reach_the_template(
    frontend: Frontend, kind: Any, body: dict[str, Any]
) -> None:
    """As those of the message that they came before."""
    each = "{{ m.role[0] }}{{ m.reasoning_content }}:{{ m.content }} "
    shows = "{% for m in messages %}" + each + "{% endfor %}"
    made = with_template(frontend, shows)

    assert made.prompt_of(parse_body(kind, json.dumps(body)).for_chat()) == "u:a abecause:b u:c "


def test_thoughts_before_a_call_are_those_of_its_message(frontend: Frontend) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "because"}]}
    body = {"input": [{"role": "user", "content": "a"}, thought, call, call]}
    chat = parse_body(ResponsesRequest, json.dumps(body)).for_chat()

    assert [m.reasoning_content for m in chat.messages] == [None, "because"]
    assert len(chat.messages[1].tool_calls or ()) == 2


ASKED_TO_THINK: list[Any] = [
    (MessagesRequest, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "True"),
    (MessagesRequest, {"thinking": {"type": "disabled"}}, "False"),
    (MessagesRequest, {"thinking": {"type": "adaptive"}}, ""),
    (MessagesRequest, {"output_config": {"effort": "low"}}, "low"),
    (MessagesRequest, {"thinking": {"type": "enabled"}, "enable_thinking": False}, "False"),
    (ChatCompletionRequest, {"enable_thinking": True}, "True"),
    (ChatCompletionRequest, {"chat_template_kwargs": {"enable_thinking": False}}, "False"),
    (ResponsesRequest, {"reasoning": {"effort": "low", "summary": "auto"}}, "low"),
    (TokenizeRequest, {"enable_thinking": False}, "False"),
    (TokenizeRequest, {"reasoning_effort": "none"}, "Falsenone"),
    (ChatCompletionRequest, {"reasoning": {"effort": "low", "max_tokens": 9}}, "low"),
    (ChatCompletionRequest, {"reasoning": {"effort": "none"}}, "Falsenone"),
    (ChatCompletionRequest, {"reasoning": {"enabled": True}}, "True"),
    (ChatCompletionRequest, {"reasoning": {"enabled": False, "exclude": True}}, "False"),
    (ChatCompletionRequest, {"reasoning": {"effort": "high"}, "reasoning_effort": "low"}, "low"),
    (ChatCompletionRequest, {"reasoning": {"enabled": True}, "enable_thinking": False}, "False"),
    (ChatCompletionRequest, {"reasoning_effort": "none", "enable_thinking": True}, "Truenone"),
    (ChatCompletionRequest, {"thinking": {"type": "disabled"}}, "False"),
    (ResponsesRequest, {"reasoning": {"enabled": False}}, "False"),
    (MessagesRequest, {"reasoning": {"effort": "low"}}, "low"),
]


@pytest.mark.parametrize(("kind", "fields", "shown"), ASKED_TO_THINK)
def test_whether_it_is_to_think_reaches_the_template(
    frontend: Frontend, kind: Any, fields: dict[str, Any], shown: str
) -> None:
    """By the names that templates have for it."""
    said = [{"role": "user", "content": "a"}]
    bodies: dict[Any, dict[str, Any]] = {
        ResponsesRequest: {"input": "a"}, MessagesRequest: {"messages": said, "max_tokens": 1},
    }  # fmt: skip
    body = parse_body(kind, json.dumps({**bodies.get(kind, {"messages": said}), **fields}))
    chat = body if kind is ChatCompletionRequest else body.for_chat()
    made = with_template(frontend, "{{ enable_thinking }}{{ reasoning_effort }}")

    assert made.prompt_of(chat) == shown
    if shown in ("True", "False") and "chat_template_kwargs" not in fields:
        assert with_template(frontend, "{{ thinking }}").prompt_of(chat) == shown


def test_a_user_thinks_nothing() -> None:
    block = {"type": "thinking", "thinking": "hm", "signature": ""}
    body = {"max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}

    with pytest.raises(InvalidRequest, match="thinking is not for the role user"):
        parse_body(MessagesRequest, json.dumps(body))


@pytest.mark.parametrize(("chosen", "format"), [("auto", "think"), ("none", "none")])
def test_the_format_of_thoughts_is_chosen(
    checkpoint: Path, tmp_path: Path, chosen: str, format: str
) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    file = copy / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings["chat_template"] += "<think>"
    file.write_text(json.dumps(settings))

    loaded = Frontend.load(TextFiles(copy), "tiny", 64, reasoning_parser=chosen)
    assert loaded.reasoning_format == format
