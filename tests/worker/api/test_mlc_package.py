"""MLCEngine on a package of MLC: its conversation's template says how answers end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, MLCEngine
from tests.support.mlc_packages import write_scripted_package

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, threads=1)
ASK: dict[str, Any] = {"temperature": 0, "max_tokens": 12}
SAID = ("Well. ", "a##", "# Human", ": go", " on")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLCEngine]:
    package: Path = write_scripted_package(
        tmp_path_factory.mktemp("package"), SAID, stop_str=["###", "nothing"], stop_token_ids=[1]
    )
    with MLCEngine(str(package), device="cpu", engine_config=CONFIG) as made:
        yield made


def said(engine: MLCEngine, **fields: Any) -> tuple[str, str]:
    """The text and why it ends, whole and in a stream."""
    ask = {"messages": [{"role": "user", "content": "hi"}], **ASK, **fields}
    (whole,) = engine.chat.completions.create(**ask).choices
    chunks = [one.choices[0] for one in engine.chat.completions.create(**ask, stream=True)]
    text = "".join(chunk.delta.content or "" for chunk in chunks)

    assert (text, chunks[-1].finish_reason) == (whole.message.content, whole.finish_reason)
    return text, whole.finish_reason


def test_an_answer_ends_before_its_stop_string(engine: MLCEngine) -> None:
    """Wherever the borders of tokens lie; and before a client's, if that comes sooner."""
    assert said(engine) == ("Well. a", "stop")
    assert said(engine, stop="ll") == ("We", "stop")
    assert said(engine, stop=": go") == ("Well. a", "stop")


def test_a_completion_ends_there_too(engine: MLCEngine) -> None:
    (choice,) = engine.completions.create(prompt="abc", **ASK).choices

    assert (choice.text, choice.finish_reason) == ("Well. a", "stop")


def test_who_ignores_ends_ignores_all_of_the_models(engine: MLCEngine) -> None:
    """Those that the client gives are its own."""
    text, reason = said(engine, ignore_eos=True)

    assert text.startswith("".join(SAID)) and reason == "length"
    assert said(engine, ignore_eos=True, stop=": go") == ("Well. a### Human", "stop")


CALL = ("look", "(city='", "Rome", "')")
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
SHOWN = {"role_templates": {"user": "{user_message} {function_string}"}}


def test_a_template_that_shows_tools_has_them_called(tmp_path: Path) -> None:
    """By answers in Python, whole and in a stream; without tools those are text."""
    package = write_scripted_package(tmp_path, CALL, stop_token_ids=[1], **SHOWN)
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], **ASK}
    with MLCEngine(str(package), device="cpu", engine_config=CONFIG) as engine:
        (whole,) = engine.chat.completions.create(**ask, tools=[TOOL]).choices
        chunks = list(engine.chat.completions.create(**ask, tools=[TOOL], stream=True))
        (plain,) = engine.chat.completions.create(**ask).choices

    (call,) = whole.message.tool_calls
    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert (call.function.name, call.function.arguments) == ("look", '{"city": "Rome"}')
    assert pieces[0].function.name == "look"
    assert "".join(one.function.arguments or "" for one in pieces) == call.function.arguments
    assert whole.finish_reason == chunks[-1].choices[0].finish_reason == "tool_calls"
    assert (plain.message.content, plain.finish_reason) == ("look(city='Rome')", "stop")


def test_sizes_and_draws_are_those_of_the_package(tmp_path: Path) -> None:
    """Where nobody says otherwise: its lengths, its chunk, how it draws."""
    package = write_scripted_package(tmp_path, ["a", "a"], stop_token_ids=[1])
    file = package / "mlc-chat-config.json"
    told = {"context_window_size": 96, "prefill_chunk_size": 48, "presence_penalty": 2.0}
    file.write_text(json.dumps(json.loads(file.read_text()) | told))
    with MLCEngine(str(package), device="cpu", engine_config=EngineConfig(threads=1)) as engine:
        config, (written,) = engine.engine_config, engine.model_config_dicts
        defaults = engine.frontend.defaults

    assert (config.max_single_sequence_length, config.prefill_chunk_size) == (96, 48)
    assert (defaults.presence_penalty, defaults.temperature) == (2.0, 0.7)
    assert written == json.loads(file.read_text())
