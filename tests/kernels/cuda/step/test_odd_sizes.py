"""A model of odd sizes on a driver without a GPU: what it comes to is what the CPU computes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.options import ModelOptions, silent
from tests.support.batches import Piece, batch_of
from tests.support.checkpoints import write_checkpoint
from tests.support.cuda_demo import cubins_of
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.cuda_fake.machine import cubins_here
from tests.support.cuda_interpreter import matrix_unit

OPTIONS = ModelOptions("q0bf16", "auto", "cuda:0", "sm_90", 2, 64, 4, 64)
PROMPT = [int(one) for one in np.random.default_rng(5).integers(0, 31, 40)]
PAGES = [1, 2, 3]


def written(directory: Path) -> Path:
    """A row of 100, of which 112 are computed, and heads of 20, of which 32 are; eps is much of a
    mean."""
    return write_checkpoint(
        directory, "llama3-untied-biased", hidden_size=100, head_dim=20, intermediate_size=50,
        vocab_size=31, num_hidden_layers=1, rms_norm_eps=0.1,
    )  # fmt: skip


def form(checkpoint: Path) -> DeviceForm:
    return form_of(open_checkpoint(checkpoint), OPTIONS)


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100, with the machine code of the model."""
    checkpoint = written(tmp_path_factory.mktemp("odd"))
    make = lambda: [cubins_of(form(checkpoint), store)]  # noqa: E731
    yield from FakeMachine.with_code(tmp_path_factory.mktemp("driver"), make)


@cache
def model() -> tuple[Path, DeviceModel]:
    checkpoint = written(Path(os.environ["LD_LIBRARY_PATH"]) / "odd")
    opened, (cubins,) = open_checkpoint(checkpoint), cubins_here()
    return checkpoint, DeviceModel(opened, OPTIONS, form(checkpoint), cubins, 8, silent)


@on_fake_device
def test_its_logits_and_vectors_are_the_cpus() -> None:
    """Of the sizes that the model has, as near as bf16 comes."""
    checkpoint, gpu = model()
    cpu = load_model(checkpoint, replace(OPTIONS, device="cpu", target=None), 8)
    pieces = [Piece(PROMPT, 0, PAGES), Piece(PROMPT[9:20], 0, [4])]
    want = cpu.step(batch_of(pieces))

    whole = gpu.step(batch_of(pieces))
    found = np.array(whole.logits), np.array(whole.hidden)

    assert gpu.spec == open_checkpoint(checkpoint).spec
    assert [one.shape for one in found] == [(2, 31), (2, 100)]
    for got, wanted in zip(found, (want.logits, want.hidden), strict=True):
        assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


@on_fake_device
def test_a_row_has_the_same_bits_in_chunks_and_in_a_batch() -> None:
    _, gpu = model()
    with matrix_unit(HOPPER):
        alone = np.array(gpu.step(batch_of([Piece(PROMPT, 0, PAGES)])).logits)
        gpu.step(batch_of([Piece(PROMPT[:23], 0, PAGES)]))
        pieces = [Piece(PROMPT[9:20], 0, [4]), Piece(PROMPT[23:], 23, PAGES)]
        chunked = np.array(gpu.step(batch_of(pieces)).logits)

    assert np.array_equal(chunked[1], alone[0])
