"""Medusa's heads on a driver without a GPU: what they come to is what the CPU computes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.heads.medusa import MedusaOnDevice
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.capacity import KEPT_BY_CUDA
from raylax.kernels.heads.medusa import MedusaHead, load_medusa, medusa_footprint, read_medusa
from raylax.kernels.options import ModelOptions
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.rules import Row, draws_of, models_rule_of, rule_of
from tests.support.checkpoints import write_checkpoint
from tests.support.cuda_demo import cubins_of
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.cuda_interpreter import matrix_unit
from tests.support.draft_heads import MEDUSAS, hidden_of, write_medusa
from tests.support.draws import drawn_after
from tests.support.shards import bits

OPTIONS = ModelOptions("q0bf16", "auto", "cuda:0", "sm_90", 2, 64, 16, 128)


def written(path: Path, variant: str) -> tuple[Path, Path]:
    """Heads and their base."""
    base = write_checkpoint(path / variant / "base", MEDUSAS[variant].base)
    return write_medusa(path / variant / "heads", variant), base


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100, and a store with the machine code of all of them."""
    path = tmp_path_factory.mktemp("heads")

    def make() -> list[Path]:
        heads = [read_medusa(*written(path, one), OPTIONS)[0] for one in MEDUSAS]
        return [cubins_of(form_of(one, OPTIONS), store) for one in heads]

    directory = tmp_path_factory.mktemp("driver")
    yield from FakeMachine.with_code(directory, make, RAYLAX_STORE=str(store))


@cache
def files(variant: str) -> tuple[Path, Path]:
    return written(Path(os.environ["LD_LIBRARY_PATH"]), variant)


@cache
def on_gpu(variant: str) -> MedusaOnDevice:
    made = load_medusa(*files(variant), OPTIONS)
    assert isinstance(made, MedusaOnDevice)
    return made


@on_fake_device
def test_logits_are_the_cpus() -> None:
    """Of every head, as near as bf16 comes; one block or two, and odd sizes."""
    for variant in MEDUSAS:
        cpu = load_medusa(*files(variant), replace(OPTIONS, device="cpu", target=None))
        gpu, hidden = on_gpu(variant), hidden_of(MEDUSAS[variant], 5)
        assert isinstance(cpu, MedusaHead)
        cpu.begin(hidden)
        gpu.begin(hidden)

        for head in range(cpu.heads):
            want, found = cpu.step(head, [4, 0, 2]), gpu.step(head, [4, 0, 2], None)
            logits = np.array(found.logits)

            assert np.abs(logits - want.logits).max() < 0.03 * np.abs(want.logits).max()
            assert found.drawn.tolist() == logits.argmax(1).tolist()
            assert found.largest.tolist() == logits.max(1).tolist()
            assert np.array_equal(found.hidden, hidden[[4, 0, 2]])


@on_fake_device
def test_a_row_has_the_same_bits_beside_any_other() -> None:
    """Law 1: in every tile."""
    heads, hidden = on_gpu("medusa-odd"), hidden_of(MEDUSAS["medusa-odd"], 11)
    heads.begin(hidden)
    with matrix_unit(HOPPER):
        together = np.array(heads.step(1, [*range(11)], None).logits)
        for some in ([0], [10, 0, 5, 2, 7]):
            found = np.array(heads.step(1, some, None).logits)

            assert np.array_equal(bits(found), bits(together[some]))


@on_fake_device
def test_they_draw_by_the_engines_rules() -> None:
    """Each row by its own, and a step knows nothing of those of the one before."""
    heads, said = on_gpu("medusa"), [3, 5, 8, 8]
    ways = (
        Sampling(temperature=3.0, top_p=0.9, presence_penalty=1.0, seed=5),
        Sampling(temperature=0.0, logit_bias=((7, 90.0),)),
        Sampling(temperature=2.0, top_k=5, seed=3),
    )
    rows = []
    for sampling in ways:
        request, adjustment = Request("r", (3, 5), 99, sampling), Adjustment(sampling, 2)
        adjustment.tell(said)
        rows.append(Row(models_rule_of(request, rule_of(request)), 2, adjustment))
    heads.begin(hidden_of(MEDUSAS["medusa"], 3))
    logits = np.array(heads.step(2, [0, 1, 2], None).logits)

    found = heads.step(2, [0, 1, 2], draws_of(rows)).drawn.tolist()
    plain = heads.step(2, [0, 1, 2], None).drawn.tolist()

    pairs = zip(logits, ways, strict=True)
    assert found == [drawn_after(row, way, 0, said, 2) for row, way in pairs]
    assert plain == logits.argmax(1).tolist()


@on_fake_device
def test_they_take_what_was_said_before() -> None:
    """Of weights and workspace, but for what CUDA is thought to keep; no pages."""
    on_gpu("medusa-odd")
    before, _ = driver.memory(0)
    needs = medusa_footprint(*files("medusa-odd"), OPTIONS)

    second = load_medusa(*files("medusa-odd"), OPTIONS)

    said, taken = needs.weights + needs.workspace - KEPT_BY_CUDA, before - driver.memory(0)[0]
    assert 0.8 * said < taken <= 1.05 * said and not needs.page
    del second
