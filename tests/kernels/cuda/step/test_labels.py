"""A head for labels on a driver without a GPU: what it comes to is what the CPU computes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.options import ModelOptions, silent
from tests.support.batches import Piece, batch_of
from tests.support.cuda_demo import cubins_of
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.cuda_fake.machine import cubins_here
from tests.support.family_checkpoints import write_family

FAMILY = "qwen2-labels"
OPTIONS = ModelOptions("q0bf16", "auto", "cuda:0", "sm_90", 2, 64, 4, 64)
PROMPT = [int(one) for one in np.random.default_rng(5).integers(0, 99, 40)]


def form(checkpoint: Path) -> DeviceForm:
    return form_of(open_checkpoint(checkpoint), OPTIONS)


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100, with the machine code of the model."""
    checkpoint = write_family(tmp_path_factory.mktemp("labels"), FAMILY)
    make = lambda: [cubins_of(form(checkpoint), store)]  # noqa: E731
    yield from FakeMachine.with_code(tmp_path_factory.mktemp("driver"), make)


@on_fake_device
def test_its_logits_are_the_cpus() -> None:
    """Of the three labels, of a model that reads more tokens than these."""
    checkpoint = write_family(Path(os.environ["LD_LIBRARY_PATH"]) / "labels", FAMILY)
    opened, (cubins,) = open_checkpoint(checkpoint), cubins_here()
    gpu = DeviceModel(opened, OPTIONS, form(checkpoint), cubins, 8, silent)
    cpu = load_model(checkpoint, replace(OPTIONS, device="cpu", target=None), 8)
    pieces = [Piece(PROMPT, 0, [1, 2, 3]), Piece(PROMPT[9:20], 0, [4])]
    want = cpu.step(batch_of(pieces)).logits

    got = np.array(gpu.step(batch_of(pieces)).logits)
    assert got.shape == (2, 3)
    assert np.abs(got - want).max() < 0.02 * np.abs(want).max()
