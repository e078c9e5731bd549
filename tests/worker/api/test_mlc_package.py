"""MLCEngine on a package of MLC: its conversation's template says how answers end."""

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
