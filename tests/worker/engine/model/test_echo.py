"""An engine that says each prompt again, of a directory without weights."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax import AsyncMLCEngine, EngineConfig, MLCEngine
from raylax.worker.config import ECHO
from raylax.worker.errors import ConfigError, EngineStartError
from tests.support.paths import ROOT

DEMO = ROOT / "deploy" / "demo_model"
TEXT = "Count from three to ten, please."


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's texts, and none of its weights."""
    path = tmp_path_factory.mktemp("described")
    for file in DEMO.iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copy(file, path)
    return path


@pytest.fixture(scope="module")
def engine(described: Path) -> Iterator[MLCEngine]:
    with MLCEngine(described, "cpu", model_lib=ECHO) as engine:
        yield engine


def test_a_prompt_comes_back(engine: MLCEngine) -> None:
    """Whatever is asked of sampling, and each choice with its index."""
    answer = engine.completions.create(
        prompt=TEXT, max_tokens=100, n=3, temperature=2.0, logit_bias={"5": 100}, seed=3
    )

    assert [choice.text for choice in answer.choices] == [TEXT] * 3
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}
    assert answer.usage.completion_tokens == 3 * answer.usage.prompt_tokens


def test_a_chat_comes_back_with_its_template(engine: MLCEngine) -> None:
    """A prompt may have the tokens that end an answer."""
    said = engine.chat.completions.create(messages=[{"role": "user", "content": TEXT}], stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in said if chunk.choices)

    assert TEXT in text


def test_it_ends_as_answers_do(engine: MLCEngine) -> None:
    """By its length, by a stop string, and where nothing else ends it."""
    create = engine.completions.create
    length = create(prompt=TEXT, max_tokens=3).choices[0]
    stop = create(prompt=TEXT, max_tokens=100, stop=" to").choices[0]
    again = create(prompt=[5, 6, 7], max_tokens=7, ignore_eos=True)

    assert (length.finish_reason, stop.finish_reason) == ("length", "stop")
    assert TEXT.startswith(length.text) and stop.text == "Count from three"
    assert again.choices[0].finish_reason == "length" and again.usage.completion_tokens == 7


@pytest.mark.parametrize("stream", [False, True])
def test_usage_tells_how_it_was_asked(engine: MLCEngine, stream: bool) -> None:
    """Everything that draws, whoever has said it; so that tests see what has come there."""
    asked: dict[str, Any] = {
        "top_p": 0.6, "temperature": 0.9, "frequency_penalty": 0.1, "presence_penalty": 0.2,
        "repetition_penalty": 1.1, "n": 2, "seed": 7, "max_tokens": 5, "top_k": 3, "min_p": 0.1,
        "logit_bias": {"5": 1.5}, "stop": ["x"],
    }  # fmt: skip
    more: dict[str, Any] = (
        {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    )
    plain = engine.completions.create(prompt=TEXT, **asked, **more)
    chat = engine.chat.completions.create(messages=[{"role": "user", "content": TEXT}], **asked)
    told = [list(plain)[-1] if stream else plain, chat]

    for one in told:
        assert {name: one.usage.extra[name] for name in asked} == asked
        assert one.usage.extra["completion_tokens"] == 10
    assert json.loads(chat.model_dump_json())["usage"]["extra"]["typical_p"] == 1.0


def test_what_is_said_is_certain(engine: MLCEngine) -> None:
    """Where log-probabilities are asked for."""
    logprobs = engine.completions.create(prompt=TEXT, max_tokens=9, logprobs=2).choices[0].logprobs

    assert logprobs is not None and all(abs(one) < 1e-4 for one in logprobs.token_logprobs)


def test_wishes_are_checked_as_ever(engine: MLCEngine) -> None:
    """What is around an engine is what is tested by it."""
    wishes: list[tuple[dict[str, Any], str]] = [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"prompt": [1] * 5000}, "the prompt has 5000 tokens, the limit is"),
    ]
    for wrong, said in wishes:
        with pytest.raises(Exception, match=said):
            engine.completions.create(**{"prompt": TEXT, **wrong})


def test_its_configuration_is_complete(engine: MLCEngine, described: Path) -> None:
    config = engine.engine_config

    assert (config.model, config.model_lib) == (str(described), ECHO)
    assert (config.max_num_sequence, config.speculative_mode) == (32, "disable")
    assert None not in config.__dict__.values()


def test_many_at_once_of_few_pages(described: Path) -> None:
    """Preempted or not, and found in the prefix cache or not."""
    config = EngineConfig(max_total_sequence_length=256, max_single_sequence_length=200)

    async def ask() -> list[str]:
        async with AsyncMLCEngine(described, "cpu", model_lib=ECHO, engine_config=config) as engine:
            asked = [f"{TEXT} {number}" for number in range(12)]
            answers = await asyncio.gather(
                *(engine.completions.create(prompt=one, max_tokens=90) for one in asked)
            )
            return [answer.choices[0].text for answer in answers]

    assert asyncio.run(ask()) == [f"{TEXT} {number}" for number in range(12)]


def test_the_weights_are_wanted_by_other_engines(described: Path) -> None:
    with pytest.raises(EngineStartError, match="not a checkpoint, model.safetensors is missing"):
        MLCEngine(described, "cpu")
    with pytest.raises(ConfigError, match="model_lib must be mock://echo, or a path, found 'mock:"):
        MLCEngine(described, "cpu", engine_config=EngineConfig(model_lib="mock://sing"))
