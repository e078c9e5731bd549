"""What MLC-LLM's API has beside OpenAI's, by the Python classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, MLCEngine
from raylax.proto.errors import InvalidRequest
from tests.support.engines import Gate

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


PROMPT = "a prompt of some words, which are more than a step verifies"


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_of_a_prompt(engine: MLCEngine, stream: bool) -> None:
    """Of each token but the first, as it would have them as an answer; those of the answer behind
    them. The answer, its draws and its usage are those without."""
    ask = {
        **ASK,
        "prompt": PROMPT,
        "temperature": 1,
        "seed": 5,
        "presence_penalty": 1,
        "logprobs": 2,
    }
    alone = engine.completions.create(**ask)
    told = engine.completions.create(**ask, echo=True, stream=stream)
    choices = [chunk.choices[0] for chunk in told] if stream else told.choices
    text = "".join(choice.text for choice in choices)
    entries = [choice.logprobs for choice in choices if choice.logprobs]
    values = [value for one in entries for value in one.token_logprobs]
    tokens = [token for one in entries for token in one.tokens]
    offsets = [offset for one in entries for offset in one.text_offset]
    tops = [top for one in entries for top in one.top_logprobs]
    own = alone.choices[0].logprobs

    assert text == PROMPT + alone.choices[0].text == "".join(tokens)
    assert (values[0], tops[0]) == (None, None)
    assert values[-6:] == own.token_logprobs
    want = [scored(engine, at) for at in range(1, len(values) - 6)]
    assert list(zip(values[1:-6], tops[1:-6], strict=True)) == want
    assert [text[at : at + 1] for at in offsets] == [token[:1] for token in tokens]
    if not stream:
        assert told.usage.model_dump(exclude={"extra"}) == alone.usage.model_dump(exclude={"extra"})


def scored(engine: MLCEngine, at: int) -> tuple[float, dict[str, float]]:
    """The log-probability of a token of the prompt, by who is forced to say it."""
    ids = engine.tokenizer.encode(PROMPT)
    answer = engine.completions.create(
        prompt=ids[:at], max_tokens=1, logprobs=2, logit_bias={ids[at]: 100}, temperature=0
    )
    logprobs = answer.choices[0].logprobs
    return logprobs.token_logprobs[0], logprobs.top_logprobs[0]


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_but_the_prompt_may_be_wanted(engine: MLCEngine, stream: bool) -> None:
    """With its log-probabilities: no token is told, counted or shown."""
    ask: dict[str, Any] = {"prompt": PROMPT, "max_tokens": 0, "echo": True, "logprobs": 2}
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    more = more if stream else {}
    told = engine.completions.create(**ask, **more)
    *chunks, last = list(told) if stream else [told, told]
    (choice,) = [choice for chunk in chunks for choice in chunk.choices]

    assert (choice.text, choice.finish_reason) == (PROMPT, "length")
    assert "".join(choice.logprobs.tokens) == PROMPT
    assert last.usage.completion_tokens == 0
    with pytest.raises(InvalidRequest, match="max_tokens: may only be 0 with echo"):
        engine.completions.create(prompt=PROMPT, max_tokens=0)


def test_what_ends_an_answer_may_stand_in_a_prompt_that_is_scored(engine: MLCEngine) -> None:
    ask = {**ASK, "prompt": [5, 1, 6, 7], "ignore_eos": False, "logprobs": 0, "echo": True}
    told = engine.completions.create(**ask, stop_token_ids=[7]).choices[0]
    alone = engine.completions.create(**{**ask, "echo": False}, stop_token_ids=[7]).choices[0]

    assert len(told.logprobs.tokens) == 4 + len(alone.logprobs.tokens if alone.logprobs else ())
    assert told.finish_reason == alone.finish_reason


def test_many_prompts_are_scored_together(engine: MLCEngine) -> None:
    """Beside others, more than run at once: each as alone."""
    prompts = [f"{at}, {PROMPT}" for at in range(6)]
    ask = {**ASK, "logprobs": 1, "echo": True}
    alone = [engine.completions.create(**{**ask, "prompt": one}).choices[0] for one in prompts]
    streams = [engine.completions.create(**ASK, prompt="abc", n=2, stream=True) for _ in range(2)]
    together = engine.completions.create(**{**ask, "prompt": prompts}).choices
    for stream in streams:
        assert list(stream)[-1].choices[0].finish_reason == "length"

    assert [one.logprobs for one in together] == [one.logprobs for one in alone]
    assert [one.text for one in together] == [one.text for one in alone]


def test_a_prompt_with_too_many_log_probabilities_is_refused(
    engine: MLCEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raylax.proto.calls.prompt_ids.MOST_SCORED", 60)
    with pytest.raises(InvalidRequest, match="may have 20 tokens where 2 more are told for"):
        engine.completions.create(prompt="x" * 21, echo=True, logprobs=2)


def test_usage_says_what_an_answer_took(engine: MLCEngine) -> None:
    """In one piece and in a stream; its numbers agree with each other and with the usage."""
    ask = {"prompt": list(range(2, 50)), **ASK}
    usages = [engine.completions.create(**ask).usage for _ in range(2)]
    stream = engine.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    usages.append([chunk.usage for chunk in stream][-1])

    for usage, cached in zip(usages, (0, 32, 32), strict=True):
        took = usage.extra
        assert (took["prompt_tokens"], took["completion_tokens"]) == (48, 6)
        assert (took["prefill_tokens"], took["decode_tokens"]) == (48 - cached, 5)
        assert 0 < took["ttft_s"] <= took["end_to_end_latency_s"]
        assert took["prefill_tokens_per_s"] == took["prefill_tokens"] / took["ttft_s"]
        assert took["inter_token_latency_s"] == took["end_to_end_latency_s"] / 6
        assert took["jump_forward_tokens"] == 0


def test_choices_of_a_prompt_are_counted_together(engine: MLCEngine) -> None:
    """The prompt once, each answer's first token as its prefill's."""
    took = engine.completions.create(prompt="xyz", n=3, **ASK).usage.extra

    assert (took["prompt_tokens"], took["completion_tokens"], took["decode_tokens"]) == (3, 18, 15)


METRICS = {"debug_config": {"special_request": "query_engine_metrics"}}
ASK_METRICS: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}, **METRICS}


def test_what_the_engine_has_done_can_be_asked_for(engine: MLCEngine) -> None:
    """By a chat or a completion, whose stream is nothing but a usage."""
    engine.reset()
    engine.completions.create(prompt="abc", **ASK)
    (chat,) = engine.chat.completions.create(
        messages=[{"role": "user", "content": ""}], **ASK_METRICS
    )
    (plain,) = engine.completions.create(prompt="", **ASK_METRICS)
    numbers = chat.usage.extra

    assert chat.choices == plain.choices == []
    assert (chat.object, plain.object) == ("chat.completion.chunk", "text_completion")
    assert chat.usage.total_tokens == 0
    assert plain.usage.extra == numbers == {name: engine.metrics()[name] for name in numbers}
    assert (numbers["prompt_tokens_sum"], numbers["completion_tokens_sum"]) == (3, 6)
    assert (numbers["prefill_tokens_sum"], numbers["decode_tokens_sum"]) == (3, 5)
    assert numbers["engine_prefill_time_sum"] > 0 and numbers["engine_decode_time_sum"] > 0
    assert numbers["last_finished_request"]["completion_tokens"] == 6


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (METRICS, "debug_config: special_request needs stream and stream_options.include_usage"),
        ({**METRICS, "stream": True}, "special_request needs stream"),
        (
            {"debug_config": {"special_request": "x"}},
            "debug_config.special_request: Input",
        ),
        (
            {"debug_config": {"ignore_eos": 1}},
            "debug_config.ignore_eos: Input should be a v",
        ),
        ({"debug_config": {"grammar_execution_mode": "x"}}, "grammar_execution_mode: Input should"),
        (
            {"debug_config": {"disagg_config": {"kind": "x"}}},
            "disagg_config: workers move pages",
        ),
        ({"debug_config": True}, "debug_config: Input should be"),
    ],
)
def test_what_is_wrong_with_a_debug_config_is_said(
    engine: MLCEngine, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        engine.completions.create(prompt="abc", **fields)


def test_ends_can_be_ignored_by_either_name(engine: MLCEngine) -> None:
    """And a mode of grammars changes nothing where there is none."""
    ended: dict[str, Any] = {"logit_bias": {1: 100}, "max_tokens": 4, "prompt": "abc"}
    ask: dict[str, Any] = {
        "debug_config": {"ignore_eos": True, "grammar_execution_mode": "constraint"},
        **ended,
    }

    assert engine.completions.create(**ask).choices[0].finish_reason == "length"
    assert engine.completions.create(**ended).choices[0].finish_reason == "stop"


def test_a_pinned_prompt_is_found_after_many_others(checkpoint: Path) -> None:
    """It is not one without a pin; a reset ends pins. The engine has 16 pages."""
    config = CONFIG.complete(max_total_sequence_length=256, max_single_sequence_length=128)
    prompt = list(range(2, 50))

    def cached(engine: MLCEngine, **fields: Any) -> int:
        """Found of the prompt's 48 tokens; then others ask for all pages."""
        answer = engine.completions.create(prompt=prompt, max_tokens=1, **fields)
        for first in range(2, 12):
            engine.completions.create(prompt=[first] * 120, max_tokens=8, ignore_eos=True)
        found: int = answer.usage.prompt_tokens_details.cached_tokens
        return found

    with MLCEngine(str(checkpoint), "cpu", mode="server", engine_config=config) as engine:
        asked = [cached(engine), cached(engine), cached(engine, debug_config=PIN), cached(engine)]
        pinned = engine.metrics()["pages_used"]
        engine.reset()

        assert asked == [0, 0, 0, 32]
        assert (pinned, engine.metrics()["pages_used"]) == (3, 0)
        assert cached(engine) == 0


PIN = {"pinned_system_prompt": True}


def test_pins_give_way_to_a_request_that_would_never_fit(checkpoint: Path) -> None:
    """An engine that holds one sequence is asked for one."""
    config = CONFIG.complete(max_total_sequence_length=128, max_single_sequence_length=128)
    with MLCEngine(str(checkpoint), "cpu", engine_config=config) as engine:
        engine.completions.create(prompt=[5] * 40, max_tokens=1, debug_config=PIN)
        assert engine.metrics()["pages_used"] == 2
        answer = engine.completions.create(prompt=[7] * 100, max_tokens=28, ignore_eos=True)

        assert answer.usage.total_tokens == 128
        assert engine.metrics()["pages_used"] == 0


def test_a_call_may_be_named_by_who_asks(engine: MLCEngine) -> None:
    """So that it can be aborted before it has said anything. Two that run have two names; one that
    has ended leaves its own to others."""
    ask = {"prompt": "abc", "request_id": "mine", **ASK}
    with Gate(engine._engine):
        stream = engine.completions.create(**{**ask, "max_tokens": 200}, stream=True)
        with pytest.raises(InvalidRequest, match="'mine' is the id of a call that runs"):
            engine.completions.create(**ask)
        engine.abort("mine")
    chunks = list(stream)

    assert {chunk.id for chunk in chunks} == {"mine"}
    assert chunks[-1].choices[0].finish_reason == "abort"
    assert engine.completions.create(**ask).id == "mine"
    assert engine.chat.completions.create(messages=[USER], request_id="c/1", **ASK).id == "c/1"


USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize("request_id", ["", "x" * 129, 5])
def test_a_name_is_a_short_text(engine: MLCEngine, request_id: Any) -> None:
    with pytest.raises(InvalidRequest, match="request_id: must be a text of 1 to 128 characters"):
        engine.completions.create(prompt="abc", request_id=request_id)


def test_more_fields_may_be_in_an_extra_body(engine: MLCEngine) -> None:
    """As with OpenAI's client; by the same rules."""
    ended: dict[str, Any] = {"prompt": "abc", "logit_bias": {1: 100}, "max_tokens": 4}
    more = {"debug_config": {"ignore_eos": True}}

    assert engine.completions.create(**ended, extra_body=more).choices[0].finish_reason == "length"
    with pytest.raises(InvalidRequest, match="top: unknown field; did you mean"):
        engine.completions.create(prompt="abc", extra_body={"top": 1})
    with pytest.raises(InvalidRequest, match="max_tokens: given twice, also in extra_body"):
        engine.completions.create(**ended, extra_body={"max_tokens": 5})
    for wrong in ("x", 5, ["max_tokens"]):
        with pytest.raises(InvalidRequest, match="extra_body: must be an object, found"):
            engine.completions.create(**ended, extra_body=wrong)
