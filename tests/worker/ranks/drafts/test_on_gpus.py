"""An engine on a GPU of the fake driver that is given drafts: its answers are those without."""

import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from raylax.proto.vocabulary import Load, Request, Sampling
from raylax.worker.config import EngineConfig
from tests.support.cuda_demo import DEMO, demo_cubins, first_layers
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.engines import running_engine

PROMPT = (40, 41, 42, 40, 41)
ASKED = [
    Request("greedy", PROMPT, 4, Sampling(temperature=0.0)),
    Request("penalised", PROMPT, 4, Sampling(temperature=0.7, presence_penalty=0.5, seed=3)),
]
SMALL = EngineConfig(
    max_num_sequence=2, max_single_sequence_length=64, max_total_sequence_length=128,
    prefill_chunk_size=16, threads=1, spec_draft_length=2, speculative_mode="disable",
)  # fmt: skip


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """An H100, and a store with the machine code of the demo model."""
    directory = tmp_path_factory.mktemp("driver")
    yield from FakeMachine.with_code(directory, lambda: demo_cubins(store), RAYLAX_STORE=str(store))


@cache
def model() -> Path:
    """In the directory of the process with a GPU, which goes with it."""
    made = first_layers(Path(os.environ["LD_LIBRARY_PATH"]) / "model", 1)
    shutil.copy(DEMO / "tokenizer.json", made)
    return made


def answers_of(config: EngineConfig) -> tuple[dict[str, list[int]], Load, EngineConfig]:
    """What is said to all, what the engine has done, and what it is."""
    with running_engine(model(), config, device="cuda") as (engine, answers):
        for request in ASKED:
            engine.add_request(request)
        answers.wait_for(*(request.id for request in ASKED))
        said = {request.id: answers.tokens(request.id) for request in ASKED}
        return said, engine.load(), engine.config


@on_fake_device
def test_answers_are_the_same_whoever_drafts() -> None:
    """The text, or a model with pages beside the engine's, which is always right where it is the
    same one."""
    plain, none, _ = answers_of(SMALL)
    by_text, _, looked_up = answers_of(SMALL.complete(speculative_mode="ngram"))
    named = {"speculative_mode": "small_draft", "additional_models": (str(model()),)}
    by_model, drafted, small = answers_of(SMALL.complete(**named))

    assert plain == by_text == by_model
    assert none.drafted_tokens == 0
    assert drafted.accepted_tokens == drafted.drafted_tokens > 2
    assert looked_up.speculative_mode == "ngram"
    assert small.kv_cache_bytes == 2 * (looked_up.kv_cache_bytes or 0)
