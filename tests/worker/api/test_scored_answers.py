"""Log-probabilities of prompts in vLLM's shape, and the best of several answers, by an engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, MLCEngine
from raylax.proto.errors import InvalidRequest

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, threads=1)
PROMPTS = ["a prompt of some words", "another one"]
ASK: dict[str, Any] = {"prompt": PROMPTS, "temperature": 1, "seed": 5, "max_tokens": 6}


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[MLCEngine]:
    with MLCEngine(str(checkpoint), device="cpu", mode="server", engine_config=CONFIG) as made:
        yield made


@pytest.mark.parametrize("logprobs", [None, 0, 4])
@pytest.mark.parametrize("max_tokens", [0, 6])
def test_log_probabilities_of_a_prompt(
    engine: MLCEngine, logprobs: int | None, max_tokens: int
) -> None:
    """As echo tells them, for each choice of a prompt; the answer and what it tells are those
    without."""
    ask = {**ASK, "n": 2, "logprobs": logprobs, "max_tokens": max_tokens}
    plain = {**ask, "max_tokens": max_tokens or 1}
    alone = engine.completions.create(**plain).choices
    echoed = engine.completions.create(**{**plain, "logprobs": 2, "echo": True}).choices
    told = engine.completions.create(**ask, prompt_logprobs=2).choices

    for at, one in enumerate(told):
        ids = engine.tokenizer.encode(PROMPTS[at // 2])
        scores, want = one.prompt_logprobs, echoed[at].logprobs
        assert scores is not None and want is not None and len(scores) == len(ids)
        assert scores[0] is None
        own = [place[id].logprob for place, id in zip(scores[1:], ids[1:], strict=True) if place]
        assert own == want.token_logprobs[1 : len(ids)]
        for place, top in zip(scores[1:], want.top_logprobs[1:], strict=False):
            assert place is not None and top is not None
            ranked = {p.rank: p.logprob for p in place.values() if p.rank in (1, 2)}
            assert [ranked[1], ranked[2]] == sorted(top.values(), reverse=True)
            assert 2 <= len(place) <= 3
        if max_tokens:
            assert (one.text, one.logprobs) == (alone[at].text, alone[at].logprobs)
        else:
            assert (one.text, one.finish_reason) == ("", "length")


def test_log_probabilities_of_a_chats_prompt(engine: MLCEngine) -> None:
    """Beside the choices, once."""
    messages = [{"role": "user", "content": "hi"}]
    ask: dict[str, Any] = {"messages": messages, "seed": 5, "max_tokens": 4, "n": 2}
    alone = engine.chat.completions.create(**ask)
    told = engine.chat.completions.create(**ask, prompt_logprobs=0, return_token_ids=True)
    scores, ids = told.prompt_logprobs, told.prompt_token_ids

    assert scores is not None and ids is not None and len(scores) == len(ids)
    assert [list(place) for place in scores[1:] if place] == [[id] for id in ids[1:]]
    assert [one.message for one in told.choices] == [one.message for one in alone.choices]
    assert {one.logprobs for one in told.choices} == {None}
    assert '"decoded_token":"' in told.model_dump_json()


@pytest.mark.parametrize("logprobs", [None, 1])
def test_the_best_of_several_answers(engine: MLCEngine, logprobs: int | None) -> None:
    """Those whose tokens are likeliest on average, in that order, of all that `n` would tell. What
    is not told is counted."""
    drawn = engine.completions.create(**ASK, n=5, logprobs=0)
    told = engine.completions.create(**ASK, n=2, best_of=5, logprobs=logprobs)

    def mean(values: list[float | None]) -> float:
        return sum(value for value in values if value is not None) / len(values)

    texts = []
    for at in (0, 5):
        five = drawn.choices[at : at + 5]
        ranked = sorted(five, key=lambda one: -mean(one.logprobs.token_logprobs))
        texts += [one.text for one in ranked[:2]]
    assert len(set(texts)) == 4
    assert [one.text for one in told.choices] == texts
    assert [one.index for one in told.choices] == [0, 1, 2, 3]
    assert {one.logprobs is None for one in told.choices} == {logprobs is None}
    assert told.usage.completion_tokens == drawn.usage.completion_tokens
    assert told.usage.prompt_tokens == drawn.usage.prompt_tokens


def test_the_best_answer_knows_its_prompt(engine: MLCEngine) -> None:
    more: dict[str, Any] = {"prompt_logprobs": 0, "return_token_ids": True, "echo": True}
    told = engine.completions.create(**ASK, n=1, best_of=3, **more).choices

    for prompt, one in zip(PROMPTS, told, strict=True):
        ids = engine.tokenizer.encode(prompt)
        assert one.prompt_token_ids == ids
        assert one.text.startswith(prompt)
        assert [*map(list, one.prompt_logprobs[1:])] == [[id] for id in ids[1:]]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"best_of": 1, "n": 2}, "best_of: must be at least n, which is 2, found 1"),
        ({"best_of": 2, "stream": True}, "best_of: may only be n when stream is true"),
        ({"best_of": 17}, "best_of: .* less than or equal to 16, found 17"),
        ({"prompt_logprobs": 21}, "prompt_logprobs: .* less than or equal to 20, found 21"),
        ({"prompt_logprobs": -1}, "prompt_logprobs: .* greater than or equal to 0, found -1"),
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs: only allowed when stream is"),
        ({"max_tokens": 0}, "max_tokens: may only be 0 with echo or prompt_logprobs"),
    ],
)
def test_what_cannot_be_asked(engine: MLCEngine, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        engine.completions.create(**{**ASK, **fields})

    assert caught.value.param == said.split(":")[0]


def test_a_prompt_with_too_many_is_refused(
    engine: MLCEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raylax.proto.calls.prompt_ids.MOST_SCORED", 60)
    said = "prompt_logprobs: a prompt may have 20 tokens where 2 more are told for each, it has 21"
    with pytest.raises(InvalidRequest, match=said):
        engine.completions.create(prompt="x" * 21, prompt_logprobs=2)
