"""An engine whose steps are made by its caller: what comes when, and that nobody else does."""

import json
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, GenerationConfig, MLCEngine, SyncMLCEngine
from raylax.proto.errors import InvalidRequest, PromptTooLong
from raylax.proto.openai.completions import CompletionRequest
from raylax.worker.api.stream_outputs import RequestStreamOutput, SingleRequestStreamOutput
from raylax.worker.errors import ConfigError, EngineNotReady, EngineStartError

CONFIG = EngineConfig(
    max_num_sequence=8,
    max_single_sequence_length=256,
    threads=1,
    speculative_mode="disable",
    target_itl_ms=0,  # tests say in which step a request ends, whatever the clock says of steps
)
PROMPT = [5, 6, 7, 8, 9]
GREEDY = GenerationConfig(temperature=0.0, ignore_eos=True, max_tokens=5)


class Heard:
    """What an engine has told, and in which of its steps."""

    def __init__(self, engine: SyncMLCEngine) -> None:
        self.engine, self.now = engine, -1
        self.outputs: dict[str, list[tuple[int, list[SingleRequestStreamOutput]]]] = {}
        engine.set_request_stream_callback(self.hear)

    def hear(self, outputs: list[RequestStreamOutput]) -> None:
        for output in outputs:
            id, singles = output.unpack()
            self.outputs.setdefault(id, []).append((self.now, singles))

    def step(self) -> None:
        self.now += 1
        self.engine.step()

    def run(self) -> None:
        while self.engine.running:
            self.step()

    def end(self, id: str) -> int:
        """In which step a request has ended."""
        return self.outputs[id][-1][0]

    def tokens(self, id: str, choice: int = 0) -> list[int]:
        return [t for _, singles in self.outputs[id][:-1] for t in singles[choice].delta_token_ids]


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> Iterator[SyncMLCEngine]:
    before = threading.active_count()
    with SyncMLCEngine(checkpoint, "cpu", mode="server", engine_config=CONFIG) as engine:
        assert threading.active_count() == before
        yield engine


@pytest.fixture
def engine(loaded: SyncMLCEngine) -> SyncMLCEngine:
    """As new."""
    loaded.reset()
    return loaded


def with_tokens(most: int) -> GenerationConfig:
    return GenerationConfig(temperature=0.0, ignore_eos=True, max_tokens=most)


def test_requests_that_come_together_end_by_their_lengths(engine: SyncMLCEngine) -> None:
    """The first step has their first tokens, and each step one of each."""
    heard, lengths = Heard(engine), [3, 7, 5, 1]
    for at, most in enumerate(lengths):
        engine.add_request(engine.create_request(f"{at}", [*PROMPT, at], with_tokens(most)))
    heard.run()

    assert [heard.end(f"{at}") for at in range(4)] == [most - 1 for most in lengths]
    assert [len(heard.tokens(f"{at}")) for at in range(4)] == lengths


def test_one_that_comes_later_joins_those_that_run(engine: SyncMLCEngine) -> None:
    """A step is one batch of both."""
    heard = Heard(engine)
    for at in range(4):
        engine.add_request(engine.create_request(f"{at}", [*PROMPT, at], with_tokens(6)))
        heard.step()
    heard.run()

    assert [heard.end(f"{at}") for at in range(4)] == [at + 5 for at in range(4)]


def test_a_request_ends_with_its_usage(engine: SyncMLCEngine) -> None:
    """In an output of its own, whatever the number of its choices."""
    heard = Heard(engine)
    asked = GenerationConfig(n=2, seed=3, temperature=1.0, ignore_eos=True, max_tokens=4)
    engine.add_request(engine.create_request("two", PROMPT, asked))
    heard.run()
    *said, (_, last) = heard.outputs["two"]

    assert {len(singles) for _, singles in said} == {2}
    assert [single.finish_reason for single in said[-1][1]] == ["length", "length"]
    (end,) = last
    usage = json.loads(end.request_final_usage_json_str or "")
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (5, 8)
    assert not end.delta_token_ids and end.finish_reason is None


def test_what_is_generated_is_what_the_other_engine_says(
    engine: SyncMLCEngine, checkpoint: Path
) -> None:
    prompts = [PROMPT, [9, 8, 7], [1] * 40]
    asked = [
        GREEDY,
        GenerationConfig(seed=4, temperature=1.0, max_tokens=9, n=2, logprobs=1),
        GenerationConfig(seed=5, top_p=0.9, max_tokens=7, repetition_penalty=1.2),
    ]
    texts, logprobs = engine.generate(prompts, asked)
    with MLCEngine(checkpoint, "cpu", engine_config=CONFIG) as other:
        for prompt, config, said in zip(prompts, asked, texts, strict=True):
            fields = config.body(prompt).model_dump(exclude_unset=True)
            assert said == [one.text for one in other.completions.create(**fields).choices]

    assert logprobs[0] == [None]
    (first, second) = logprobs[1]
    assert first and second and json.loads(first[0])["top_logprobs"][0]["logprob"] <= 0
    assert engine.generate("x", GREEDY)[0][0] and not engine.running


def test_a_request_is_aborted(engine: SyncMLCEngine) -> None:
    """The next step tells; one that nobody knows is no error."""
    heard = Heard(engine)
    engine.add_request(engine.create_request("gone", PROMPT, with_tokens(50)))
    heard.step()
    engine.abort_request("gone")
    engine.abort_request("never")
    heard.step()

    assert heard.outputs["gone"][-2][1][0].finish_reason == "abort"
    assert not engine.running


def test_a_reset_ends_all(engine: SyncMLCEngine) -> None:
    heard = Heard(engine)
    for id in "ab":
        engine.add_request(engine.create_request(id, PROMPT * 10, with_tokens(50)))
    heard.step()
    engine.reset()

    assert not engine.running
    assert [heard.outputs[id][-2][1][0].finish_reason for id in "ab"] == ["abort", "abort"]
    assert engine.metrics()["pages_used"] == engine.metrics()["pages_cached"] == 0


def test_a_stop_string_ends_it(engine: SyncMLCEngine) -> None:
    (text,) = engine.generate(PROMPT, with_tokens(12))[0][0]
    stop = GenerationConfig(temperature=0.0, ignore_eos=True, max_tokens=12, stop=text[4:6])

    assert engine.generate(PROMPT, stop)[0] == [[text[: text.index(text[4:6])]]]


def test_nothing_to_do_is_a_step_too(engine: SyncMLCEngine) -> None:
    """With nothing to tell."""
    heard = Heard(engine)
    heard.step()

    assert heard.outputs == {}


def test_what_is_wrong_is_said_at_once(engine: SyncMLCEngine) -> None:
    with pytest.raises(InvalidRequest, match="temperature"):
        engine.create_request("a", PROMPT, GenerationConfig(temperature=-1))
    with pytest.raises(PromptTooLong, match="the prompt has 300 tokens, the limit is 255"):
        engine.create_request("a", [1] * 300)
    engine.add_request(engine.create_request("twice", PROMPT, GREEDY))
    with pytest.raises(InvalidRequest, match="request id twice is already running"):
        engine.add_request(engine.create_request("twice", PROMPT, GREEDY))
    with pytest.raises(InvalidRequest, match="generate: 1 requests are running"):
        engine.generate(PROMPT)
    engine.abort_request("twice")
    engine.step()
    with pytest.raises(InvalidRequest, match="generate: 2 configs for 1 prompts"):
        engine.generate(PROMPT, [GREEDY, GREEDY])


def test_an_answer_may_have_a_form(engine: SyncMLCEngine) -> None:
    """And how it is drawn can be said as over HTTP."""
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "integer", "maximum": 9}}}
    asked = GenerationConfig(max_tokens=9, response_format=schema, temperature=0.0)
    ((number,),), _ = engine.generate(PROMPT, asked)
    ((biased,),), _ = engine.generate(PROMPT, GenerationConfig(max_tokens=2, logit_bias={40: 100}))

    assert int(number) <= 9
    assert biased == engine.tokenizer.decode([40, 40])
    shared = {field.name for field in fields(GenerationConfig)} - CompletionRequest.names
    assert shared == set()


def test_a_prompt_is_pinned(engine: SyncMLCEngine) -> None:
    pinned = GenerationConfig(max_tokens=1, debug_config={"pinned_system_prompt": True})
    engine.generate([7] * 40, pinned)

    assert engine.metrics()["pages_used"] == 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((PROMPT, {"max_tokens": 3}), "generation_config: must be a GenerationConfig, found"),
        ((5,), "prompt: "),
        ((None,), "prompt: "),
        ((b"abc",), "prompt: "),
        (([],), "prompt: "),
        ((PROMPT, GenerationConfig(max_tokens=-1)), "max_tokens: "),
        ((PROMPT, GenerationConfig(n=0)), "n: "),
        ((PROMPT, GenerationConfig(logit_bias={"x": 1.0})), "logit_bias"),
        ((PROMPT, GenerationConfig(debug_config={"special_request": "x"})), "debug_config"),
    ],
)
def test_a_mistake_is_said_in_a_line(
    engine: SyncMLCEngine, asked: tuple[Any, ...], said: str
) -> None:
    for ask in (lambda: engine.create_request("a", *asked), lambda: engine.generate(*asked)):
        with pytest.raises(InvalidRequest) as caught:
            ask()
        assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not engine.running


def test_a_request_is_answered_once(engine: SyncMLCEngine) -> None:
    """And is one that was made for this."""
    heard, one = Heard(engine), engine.create_request("once", PROMPT, GREEDY)
    engine.add_request(one)
    heard.run()
    wrong: tuple[Any, ...] = (one, None, "once", {})
    for given in wrong:
        with pytest.raises(InvalidRequest, match="add_request: needs what create_request has made"):
            engine.add_request(given)
    assert not engine.running and len(heard.tokens("once")) == 5


@pytest.mark.parametrize("name", ["", 5, "x" * 129])
def test_a_request_has_a_short_name(engine: SyncMLCEngine, name: Any) -> None:
    with pytest.raises(InvalidRequest, match="request_id: must be a text of 1 to 128 characters"):
        engine.create_request(name, PROMPT)


def test_a_callback_that_fails_is_heard_by_who_steps(engine: SyncMLCEngine) -> None:
    """And the engine goes on."""

    def fail(outputs: list[RequestStreamOutput]) -> None:
        raise KeyError("mine")

    engine.set_request_stream_callback(fail)
    engine.add_request(engine.create_request("a", PROMPT, GREEDY))
    with pytest.raises(KeyError, match="mine"):
        engine.step()
    engine.set_request_stream_callback(None)
    while engine.running:
        engine.step()

    assert engine.get_request_stream_callback() is None


def test_afterwards_there_is_no_engine(checkpoint: Path) -> None:
    """Whoever runs is told, and a mistake of the start leaves nothing."""
    heard: list[RequestStreamOutput] = []
    engine = SyncMLCEngine(
        checkpoint, "cpu", engine_config=CONFIG, request_stream_callback=heard.extend
    )
    engine.add_request(engine.create_request("a", PROMPT, GREEDY))
    engine.terminate()
    engine.terminate()

    assert [one.outputs[0].finish_reason for one in heard] == ["abort", None]
    with pytest.raises(EngineNotReady, match="the engine has been terminated"):
        engine.step()
    with pytest.raises(ConfigError, match="config check: mode is 'local' in the constructor and "):
        SyncMLCEngine(checkpoint, "cpu", engine_config=EngineConfig(mode="server"))
    with pytest.raises(EngineStartError, match="reload: .*at most the model's 512 positions"):
        SyncMLCEngine(checkpoint, engine_config=EngineConfig(max_single_sequence_length=513))


def test_it_echoes_too(checkpoint: Path) -> None:
    with SyncMLCEngine(checkpoint, "cpu", model_lib="mock://echo") as engine:
        heard = Heard(engine)
        engine.add_request(engine.create_request("a", PROMPT, GenerationConfig(max_tokens=9)))
        heard.run()

    assert heard.tokens("a") == PROMPT
    assert heard.outputs["a"][-2][1][0].finish_reason == "stop"
