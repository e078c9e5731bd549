"""What a request rules out is not said: from its fields to the text, through an engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, MLCEngine

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, threads=1)
ASK: dict[str, Any] = {"prompt": "abc", "temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[MLCEngine]:
    with MLCEngine(str(checkpoint), device="cpu", mode="server", engine_config=CONFIG) as made:
        yield made


def text(engine: MLCEngine, **fields: Any) -> str:
    said: str = engine.completions.create(**ASK, **fields).choices[0].text
    return said


@pytest.mark.parametrize("drawn", [{}, {"temperature": 1.0, "seed": 3, "top_p": 0.9}])
def test_bad_words_are_not_said(engine: MLCEngine, drawn: dict[str, Any]) -> None:
    """Neither one token nor several, whatever drafts propose; what comes before it stays."""
    fields = {**ASK, **drawn, "ignore_eos": True}
    said = engine.completions.create(**fields).choices[0].text
    at = next(i for i in range(1, len(said) - 2) if " " not in said[i : i + 3])
    for word in (said[at], said[at : at + 2], said[at : at + 3]):
        other = engine.completions.create(**fields, bad_words=["?!", word]).choices[0].text

        assert word not in other
        assert other.startswith(said[: said.index(word) + len(word) - 1])


def test_only_what_is_allowed_is_said(engine: MLCEngine) -> None:
    ids = engine.tokenizer.encode("xyz", add_special_tokens=False)

    assert set(text(engine, allowed_token_ids=ids, ignore_eos=True)) <= set("xyz")


def test_an_answer_is_no_shorter_than_it_may_be(engine: MLCEngine) -> None:
    """Though its likeliest token is one that ends it."""
    said = text(engine, ignore_eos=True)
    at = next(i for i, letter in enumerate(said) if letter != " ")
    end = engine.tokenizer.encode(said[at], add_special_tokens=False)[-1]

    assert text(engine, stop_token_ids=[end]) == said[:at]
    longer = engine.completions.create(**ASK, stop_token_ids=[end], min_tokens=at + 5)
    assert longer.usage.completion_tokens >= at + 5
    assert said[at] not in longer.choices[0].text[: at + 5]
