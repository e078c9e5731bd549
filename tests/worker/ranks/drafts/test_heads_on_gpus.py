"""Engines on a GPU of the fake driver for which heads draft: their answers are those without."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import form_of
from raylax.kernels.heads.eagle import read_head
from raylax.kernels.heads.medusa import read_medusa
from raylax.kernels.options import ModelOptions
from raylax.proto.vocabulary import Load, Request, Sampling
from raylax.worker.config import EngineConfig
from tests.support.checkpoints import write_checkpoint
from tests.support.cuda_demo import cubins_of
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.draft_heads import write_head, write_medusa, write_mimo
from tests.support.engines import running_engine

pytestmark = pytest.mark.timeout(600)  # two engines whose kernels are interpreted
PROMPT = (40, 41, 42, 40, 41)
ASKED = [
    Request("greedy", PROMPT, 4, Sampling(temperature=0.0)),
    Request("penalised", PROMPT, 4, Sampling(temperature=0.7, presence_penalty=0.5, seed=3)),
]
SMALL = EngineConfig(
    max_num_sequence=2, max_single_sequence_length=64, max_total_sequence_length=128,
    prefill_chunk_size=16, threads=1, spec_draft_length=2, speculative_mode="disable", opt="O1",
)  # fmt: skip
"""Without graphs, each of which the interpreter computes once more."""


def bases(path: Path) -> dict[str, Path]:
    """Models, of which one brings a layer that drafts."""
    return {"llama": write_checkpoint(path / "llama", "llama"), "mimo": write_mimo(path / "mimo")}


def heads(path: Path) -> dict[str, Path]:
    """For the first one of them."""
    eagle, medusa = write_head(path / "eagle", "eagle-1"), write_medusa(path / "medusa", "medusa")
    return {"eagle": eagle, "medusa": medusa}


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """An H100, and a store with the machine code of all of them."""
    path = tmp_path_factory.mktemp("models")

    def make() -> list[Path]:
        options, (llama, mimo) = ModelOptions(device="cuda", target="sm_90"), bases(path).values()
        made = heads(path)
        read = [
            *(open_checkpoint(one) for one in (llama, mimo)),
            read_head(made["eagle"], llama),
            read_head(mimo, mimo),
            read_medusa(made["medusa"], llama, options)[0],
        ]
        return [cubins_of(form_of(one, options), store) for one in read]

    directory = tmp_path_factory.mktemp("driver")
    yield from FakeMachine.with_code(directory, make, RAYLAX_STORE=str(store))


def answers_of(model: Path, config: EngineConfig) -> tuple[dict[str, list[int]], Load]:
    """What is said to all, and what the engine has done."""
    with running_engine(model, config, device="cuda") as (engine, answers):
        for request in ASKED:
            engine.add_request(request)
        answers.wait_for(*(request.id for request in ASKED))
        said = {request.id: answers.tokens(request.id) for request in ASKED}
        assert config.speculative_mode == engine.config.speculative_mode
        return said, engine.load()


@cache
def files() -> tuple[dict[str, Path], dict[str, Path]]:
    """Models, and heads for the first one."""
    path = Path(os.environ["LD_LIBRARY_PATH"])
    return bases(path), heads(path)


@cache
def plain(name: str) -> dict[str, list[int]]:
    """What a model says without drafts."""
    said, load = answers_of(files()[0][name], SMALL)
    assert load.drafted_tokens == 0
    return said


def check_same(name: str, **drafts: Any) -> None:
    """With drafts a model says the same."""
    said, load = answers_of(files()[0][name], SMALL.complete(**drafts))

    assert said == plain(name)
    assert load.drafted_tokens > 2


@on_fake_device
def test_answers_are_the_same_with_a_layer_that_reads_residual_streams() -> None:
    check_same("llama", speculative_mode="eagle", additional_models=(str(files()[1]["eagle"]),))


@on_fake_device
def test_answers_are_the_same_with_heads_that_read_what_logits_are_made_of() -> None:
    check_same("llama", speculative_mode="medusa", additional_models=(str(files()[1]["medusa"]),))


@on_fake_device
def test_answers_are_the_same_where_the_model_drafts_itself() -> None:
    check_same("mimo", speculative_mode="self")
