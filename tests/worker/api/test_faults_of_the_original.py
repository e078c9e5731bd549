"""What MLC-LLM's engine does wrong, and this one must not: each as a client would notice it.

Failures of loading and of the engine thread are in `tests/worker/engine/test_threaded_engine.py`,
what can never fit in `tests/laws`, stop strings inside of tokens in `test_mlc_engine.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax import EngineConfig, MLCEngine
from tests.support.engines import Gate, until

CONFIG = EngineConfig(
    max_num_sequence=4, max_single_sequence_length=128, max_total_sequence_length=512, threads=1
)
ASK: dict[str, Any] = {"prompt": "abc", "temperature": 0, "max_tokens": 6, "ignore_eos": True}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[MLCEngine]:
    with MLCEngine(str(checkpoint), device="cpu", mode="server", engine_config=CONFIG) as made:
        yield made


def test_a_user_is_no_name_of_a_request(engine: MLCEngine) -> None:
    """Two of one user run at once: neither ends the other."""
    with Gate(engine._engine) as gate:
        streams = [engine.completions.create(**ASK, user="bob", stream=True) for _ in range(2)]
        until(lambda: gate.holds)
    reasons = [list(stream)[-1].choices[0].finish_reason for stream in streams]

    assert reasons == ["length", "length"]


def test_log_probabilities_are_those_of_the_model(engine: MLCEngine) -> None:
    """Not of what temperature and top_p leave; for each choice those of its own tokens."""
    greedy = engine.completions.create(**ASK, logprobs=20).choices[0].logprobs
    cut = engine.completions.create(
        **{**ASK, "temperature": 2, "max_tokens": 1}, logprobs=20, top_p=0.01, n=3, seed=1
    )

    assert all(len(top) == 20 for top in greedy.top_logprobs)
    assert -20 < greedy.token_logprobs[0] < -0.01
    for choice in cut.choices:
        assert choice.logprobs.top_logprobs == greedy.top_logprobs[:1]
        assert choice.logprobs.token_logprobs == [
            choice.logprobs.top_logprobs[0][choice.logprobs.tokens[0]]
        ]


def test_places_in_the_text_are_told(engine: MLCEngine) -> None:
    choice = engine.completions.create(**ASK, logprobs=0).choices[0]
    text, logprobs = choice.text, choice.logprobs

    assert [text[at : at + 1] for at in logprobs.text_offset] == [t[:1] for t in logprobs.tokens]


def test_tools_do_not_decide_how_an_answer_ends(engine: MLCEngine) -> None:
    """What calls no tool has called none."""
    answer = engine.chat.completions.create(
        messages=[{"role": "user", "content": "hi"}], tools=[TOOL], max_tokens=4, temperature=0
    )

    assert answer.choices[0].finish_reason in ("length", "stop")
    assert answer.choices[0].message.tool_calls is None


def test_chunks_are_of_one_time_and_the_usage_is_last(engine: MLCEngine) -> None:
    """Behind a suffix, too."""
    *chunks, last = engine.completions.create(
        **ASK, suffix="~", stream=True, stream_options={"include_usage": True}
    )

    assert len({chunk.created for chunk in (*chunks, last)}) == 1
    assert chunks[-1].choices[0].text.endswith("~")
    assert (last.choices, last.usage.completion_tokens) == ([], 6)


def test_the_prefix_that_was_used_last_stays_longest(engine: MLCEngine) -> None:
    """Of six prompts an engine of 32 pages keeps the later ones."""

    def cached(first: int) -> int:
        answer = engine.completions.create(**{**ASK, "prompt": [first] * 97})
        found: int = answer.usage.prompt_tokens_details.cached_tokens
        return found

    engine.reset()
    assert [cached(first) for first in range(5, 11)] == [0] * 6
    assert [cached(first) for first in (10, 9, 8)] == [96] * 3
    assert cached(5) < 96


def test_a_second_debug_function_is_another_one(engine: MLCEngine) -> None:
    """And each has its results."""
    (rank,) = engine.debug_call_func_on_all_worker("raylax.debug.rank")
    (plan,) = engine.debug_call_func_on_all_worker("raylax.debug.last_plan")

    assert "vocab" in rank and "vocab" not in plan and plan["step"] > 0


def test_all_tokens_of_all_choices_are_counted(engine: MLCEngine) -> None:
    """More of them than run at once."""
    answer = engine.completions.create(**ASK, n=7)
    engine.reset()
    engine.completions.create(**ASK, n=7)

    assert answer.usage.completion_tokens == 42
    assert engine.metrics()["completion_tokens_sum"] == 42
