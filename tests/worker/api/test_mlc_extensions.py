"""What MLC-LLM's API has beside OpenAI's, by the Python classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, MLCEngine
from raylax.proto.errors import InvalidRequest

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, threads=1)
ASK: dict[str, Any] = {"temperature": 0, "max_tokens": 6, "ignore_eos": True}


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[MLCEngine]:
    with MLCEngine(str(checkpoint), device="cpu", mode="server", engine_config=CONFIG) as made:
        yield made


def texts(engine: MLCEngine, **fields: Any) -> list[str]:
    """Of all choices, in a stream as in one piece."""
    ask = {"prompt": "abc", **ASK, **fields}
    whole = [one.text for one in engine.completions.create(**ask).choices]
    streamed = [""] * len(whole)
    for chunk in engine.completions.create(**ask, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].text

    assert streamed == whole
    return whole


def test_an_answer_may_stand_between_its_prompt_and_a_suffix(engine: MLCEngine) -> None:
    """Each choice with its own; the tokens are those of the answer alone."""
    alone = texts(engine, prompt=["abc", "xyz"], n=2)
    want = [
        f"{prompt}{text}~" for prompt, text in zip(["abc", "abc", "xyz", "xyz"], alone, strict=True)
    ]

    assert texts(engine, prompt=["abc", "xyz"], n=2, echo=True, suffix="~") == want
    assert texts(engine, suffix="~") == [alone[0] + "~"]
    assert texts(engine, echo=True, suffix=None) == ["abc" + alone[0]]


def test_token_ids_are_repeated_as_text(engine: MLCEngine) -> None:
    ids = engine.tokenizer.encode("abc")

    assert texts(engine, prompt=ids, echo=True) == texts(engine, echo=True)


def test_a_stop_string_ends_only_what_is_generated(engine: MLCEngine) -> None:
    """It may stand in the prompt, and in the suffix."""
    text = texts(engine)[0]

    assert texts(engine, stop=text[2], echo=True, prompt="abc", suffix=text[2]) == [
        f"abc{text[: text.index(text[2])]}{text[2]}"
    ]


def test_an_answer_of_nothing_has_its_prompt_and_its_suffix(engine: MLCEngine) -> None:
    """Where the first token ends it."""
    ended = {"logit_bias": {1: 100}, "ignore_eos": False}

    assert texts(engine, echo=True, suffix="~", **ended) == ["abc~"]


def test_an_answer_that_is_aborted_has_no_suffix(engine: MLCEngine) -> None:
    stream = engine.completions.create(
        prompt="abc", suffix="~", stream=True, **{**ASK, "max_tokens": 200}
    )
    first = next(stream)
    engine.abort(first.id)
    rest = [first, *stream]

    assert rest[-1].choices[0].finish_reason == "abort"
    assert "~" not in "".join(chunk.choices[0].text for chunk in rest)


def test_log_probabilities_of_a_prompt_are_refused(engine: MLCEngine) -> None:
    with pytest.raises(InvalidRequest, match="logprobs: only allowed without echo; those of a pro"):
        engine.completions.create(prompt="abc", echo=True, logprobs=1)
