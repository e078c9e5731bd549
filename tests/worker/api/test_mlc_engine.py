"""MLCEngine: an engine as a Python class, without Ray."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, MLCEngine
from raylax.proto.errors import InvalidRequest
from raylax.worker.api.mlc_engine import MLCEngineBase
from tests.support.engines import Gate, until

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, threads=1)
ASK: dict[str, Any] = {"temperature": 0, "max_tokens": 12, "ignore_eos": True}
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[MLCEngine]:
    with MLCEngine(
        str(checkpoint), device="cpu", mode="server", engine_config=CONFIG, enable_tracing=True
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_left(engine: MLCEngine) -> Iterator[None]:
    """After every test: no request runs, nobody is listened for, all pages came back."""
    yield
    until(lambda: not engine.metrics()["running"] + engine.metrics()["waiting"])
    assert len(engine.state) == 0
    assert engine.metrics()["pages_used"] == 0


def plain(engine: MLCEngine, **fields: Any) -> Any:
    return engine.completions.create(**{"prompt": "abc", **ASK, **fields})


def test_chat(engine: MLCEngine) -> None:
    """The prompt is the rendered template; the answer names its model."""
    answer = engine.chat.completions.create(messages=MESSAGES, **ASK)
    prompt = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"

    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert len(answer.choices[0].message.content) == 12
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.prompt_tokens == len(engine.tokenizer.encode(prompt))
    assert (answer.usage.completion_tokens, answer.usage.total_tokens) == (
        12, answer.usage.prompt_tokens + 12,
    )  # fmt: skip


def test_a_streamed_chat_says_the_same(engine: MLCEngine) -> None:
    """With the role at first, the reason at last, and usage if it is asked for."""
    whole = engine.chat.completions.create(messages=MESSAGES, **ASK)
    chunks = list(
        engine.chat.completions.create(
            messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **ASK
        )
    )
    *said, last, usage = chunks

    assert said[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in said)
    assert text == whole.choices[0].message.content
    assert last.choices[0].finish_reason == "length"
    assert usage.choices == [] and usage.usage.completion_tokens == 12
    assert len({chunk.id for chunk in chunks}) == 1


def test_every_delta_of_a_chat_has_a_role_and_a_text(engine: MLCEngine) -> None:
    """As MLC-LLM's programs print them: without looking."""
    chunks = list(engine.chat.completions.create(messages=MESSAGES, stream=True, n=2, **ASK))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]

    assert {delta.role for delta in deltas} == {"assistant"}
    assert all(isinstance(delta.content, str) for delta in deltas)


def test_a_text_and_its_token_ids_are_the_same_prompt(engine: MLCEngine) -> None:
    ids = engine.tokenizer.encode("abc")
    one, two = plain(engine), plain(engine, prompt=ids)

    assert one.choices[0].text == two.choices[0].text
    assert one.usage.prompt_tokens == two.usage.prompt_tokens == 3


def test_several_prompts_at_once(engine: MLCEngine) -> None:
    """A choice for each, in order; usage counts them all."""
    alone = [plain(engine, prompt=prompt).choices[0].text for prompt in ("abc", "xyz")]
    both = plain(engine, prompt=["abc", "xyz"])

    assert [choice.text for choice in both.choices] == alone
    assert (both.usage.prompt_tokens, both.usage.completion_tokens) == (6, 24)


def test_a_streamed_completion_says_the_same(engine: MLCEngine) -> None:
    chunks = list(plain(engine, stream=True))

    assert "".join(chunk.choices[0].text for chunk in chunks) == plain(engine).choices[0].text
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "length"]


def test_choices_differ_and_can_be_repeated(engine: MLCEngine) -> None:
    """Each has its own draws from the same seed, and is alone what it is beside the other."""
    seeded = {"n": 2, "temperature": 1, "seed": 3}
    both, again = plain(engine, **seeded), plain(engine, **seeded)
    one = plain(engine, **{**seeded, "n": 1})
    texts = [choice.text for choice in both.choices]

    assert texts[0] != texts[1]
    assert [choice.text for choice in again.choices] == texts
    assert one.choices[0].text == texts[0]
    assert (both.usage.prompt_tokens, both.usage.completion_tokens) == (3, 24)


def test_choices_of_a_stream_are_told_apart(engine: MLCEngine) -> None:
    seeded = {"n": 2, "temperature": 1, "seed": 3}
    texts = ["", ""]
    for chunk in plain(engine, stream=True, **seeded):
        texts[chunk.choices[0].index] += chunk.choices[0].text

    assert texts == [choice.text for choice in plain(engine, **seeded).choices]


def test_without_a_seed_answers_differ(engine: MLCEngine) -> None:
    texts = {plain(engine, temperature=1).choices[0].text for _ in range(4)}

    assert len(texts) > 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_text_before_it(engine: MLCEngine, stream: bool) -> None:
    """Wherever it begins; the engine does not go on."""
    whole = plain(engine).choices[0].text
    stop = whole[4:7]
    got = plain(engine, stop=stop, max_tokens=200, stream=stream)
    choices = [chunk.choices[0] for chunk in got] if stream else got.choices

    assert "".join(choice.text for choice in choices) == whole[: whole.index(stop)]
    assert choices[-1].finish_reason == "stop"


def test_a_stop_token_ends_the_text_before_it(engine: MLCEngine) -> None:
    whole = plain(engine).choices[0].text
    stop = engine.tokenizer.encode(whole[5])[0]
    got = plain(engine, stop_token_ids=[stop]).choices[0]

    assert got.text == whole[: whole.index(whole[5])]
    assert got.finish_reason == "stop"


def test_the_models_end_token_ends_unless_it_is_ignored(engine: MLCEngine) -> None:
    """It is token 1, forced here by its bias."""
    bias = {1: 100}

    ended = plain(engine, logit_bias=bias, ignore_eos=False)
    assert (ended.choices[0].text, ended.choices[0].finish_reason) == ("", "stop")
    assert ended.usage.completion_tokens == 0
    assert plain(engine, logit_bias=bias).choices[0].text == "!" * 12


@pytest.mark.parametrize("key", [40, "40"])
def test_a_bias_forces_a_token(engine: MLCEngine, key: int | str) -> None:
    """Keys may be ids or, as in JSON, strings."""
    assert plain(engine, logit_bias={key: 100}, max_tokens=4).choices[0].text == "HHHH"


def test_log_probabilities(engine: MLCEngine) -> None:
    """Greedy takes the most likely one each time."""
    logprobs = plain(engine, logprobs=3).choices[0].logprobs

    assert len(logprobs.token_logprobs) == 12
    assert all(value <= 0 for value in logprobs.token_logprobs)
    for value, top in zip(logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert len(top) == 3
        assert max(top.values()) == value


def test_log_probabilities_of_a_chat(engine: MLCEngine) -> None:
    answer = engine.chat.completions.create(messages=MESSAGES, logprobs=True, top_logprobs=2, **ASK)
    entries = answer.choices[0].logprobs.content

    assert "".join(entry.token for entry in entries) == answer.choices[0].message.content
    assert {len(entry.top_logprobs) for entry in entries} == {2}


def test_a_prompt_seen_before_is_cached(engine: MLCEngine) -> None:
    prompt = list(range(2, 50))
    first = plain(engine, prompt=prompt).usage.prompt_tokens_details.cached_tokens
    second = plain(engine, prompt=prompt).usage.prompt_tokens_details.cached_tokens

    assert (first, second) == (0, 32)


def test_abort_from_another_thread(engine: MLCEngine) -> None:
    """By the id that the chunks carry; what was said stays said."""
    with Gate(engine._engine) as gate:
        stream = plain(engine, stream=True, max_tokens=200)
        gate.let(2)
        first = next(stream)
        aborting = threading.Thread(target=engine.abort, args=[first.id])
        aborting.start()
        aborting.join()
    rest = list(stream)

    assert rest[-1].choices[0].finish_reason == "abort"
    assert len(rest) < 100
    engine.abort(first.id)
    engine.abort("nobody")


def test_reset_ends_all_and_forgets_prefixes(engine: MLCEngine) -> None:
    prompt = list(range(2, 50))
    streams = [plain(engine, prompt=prompt, stream=True, max_tokens=200) for _ in range(6)]
    for stream in streams[:4]:
        next(stream)
    engine.reset()
    reasons = [list(stream)[-1].choices[0].finish_reason for stream in streams]

    assert set(reasons) <= {"abort", "length"} and "abort" in reasons
    assert engine.metrics()["pages_free"] == engine.metrics()["pages_total"]
    assert plain(engine, prompt=prompt).usage.prompt_tokens_details.cached_tokens == 0


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_is_dropped_ends_its_call(engine: MLCEngine, read: int) -> None:
    """Even if it was never read."""
    stream = plain(engine, stream=True, max_tokens=200)
    for _ in range(read):
        next(stream)
    assert len(engine.state) == 1
    del stream

    assert len(engine.state) == 0


def test_a_stream_can_be_closed(engine: MLCEngine) -> None:
    stream = plain(engine, stream=True, max_tokens=200)
    next(stream)
    stream.close()

    assert list(stream) == []


def test_many_threads_at_once(engine: MLCEngine) -> None:
    """More than run together; each gets the answer that it gets alone."""
    prompts = [f"{i} and some more text" for i in range(12)]
    alone = [plain(engine, prompt=prompt).choices[0].text for prompt in prompts]

    def ask(i: int) -> str:
        if i % 2:
            return str(plain(engine, prompt=prompts[i]).choices[0].text)
        return "".join(c.choices[0].text for c in plain(engine, prompt=prompts[i], stream=True))

    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(ask, [*range(12)] * 3))

    assert together == alone * 3


def test_metrics(engine: MLCEngine) -> None:
    """Every key, and sums that move with what is asked."""
    before = engine.metrics()
    plain(engine)
    after = engine.metrics()
    moved = {key: after[key] - before[key] for key in after if type(after[key]) in (int, float)}

    assert set(after) == {
        "running", "waiting", "queued_tokens", "decoding", "context_tokens", "step_tokens",
        "prefill_room", "taken", "draining",
        "pages_total", "pages_free", "pages_cached", "pages_used", "kv_usage",
        "step", "preemptions", "prompt_tokens", "cached_tokens", "generated_tokens", "ended",
        "ended_tokens",
        "drafts", "drafted_tokens", "accepted_tokens",
        "ttft_s_sum", "ttft_count", "itl_s_sum", "itl_count",
        *engine._engine.metrics(),
    }  # fmt: skip
    assert (moved["prompt_tokens"], moved["generated_tokens"], moved["step"]) == (3, 12, 12)
    assert (moved["ttft_count"], moved["itl_count"]) == (1, 11)
    assert moved["ttft_s_sum"] > 0 and moved["itl_s_sum"] > 0


def test_what_the_constructor_leaves(engine: MLCEngine, checkpoint: Path) -> None:
    assert engine.engine_config.max_num_sequence == 4
    assert engine.max_input_sequence_length == 256
    assert engine.model_config_dicts[0]["architectures"] == ["LlamaForCausalLM"]
    assert engine.tokenizer.decode(engine.tokenizer.encode("abc")) == "abc"
    assert engine.conv_template is not None
    (rank,) = engine.debug_call_func_on_all_worker("raylax.debug.rank")
    assert rank["vocab"] == 99


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_token": 5}, "max_token: unknown field; did you mean max_tokens?"),
        ({"temperature": 3}, "temperature: Input should be less than or equal to 2, found 3"),
        ({"prompt": "x" * 300}, "the prompt has 300 tokens, the limit is 255"),
        ({"prompt": [5, 99]}, "token id 99 is outside the vocabulary of 99"),
        ({"prompt": ""}, "must not be empty"),
        ({"logit_bias": {"99": 1}}, "token id 99 is outside the vocabulary"),
        ({"logit_bias": {5: "much"}}, "logit_bias"),
        ({"logit_bias": [5]}, "logit_bias"),
        ({"n": 0}, "n: Input should be greater than or equal to 1, found 0"),
        ({"stream_options": {"include_usage": True}}, "only allowed when stream is true"),
    ],
)
def test_a_mistake_is_explained(engine: MLCEngine, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plain(engine, **fields)

    assert said in str(caught.value)


def test_the_base_is_told_its_kind_and_all_else_by_position(checkpoint: Path) -> None:
    """As the original: kind, model, device, model_lib, mode, engine_config, enable_tracing."""
    config = EngineConfig(max_total_sequence_length=256)
    base = MLCEngineBase("sync", str(checkpoint), "cpu", None, "interactive", config, True)
    try:
        traced, mode = base.state.trace is not None, base.engine_config.mode
    finally:
        base.terminate()

    assert (traced, mode) == (True, "interactive")
