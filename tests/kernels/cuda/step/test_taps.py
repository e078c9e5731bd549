"""Residual streams that a step on a driver without a GPU keeps: those that the CPU keeps."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.build import footprint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.cuda.build import form_of, load_on_device
from raylax.kernels.cuda.device.memory import DeviceMemory, write
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.capacity import StepCapacity
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.cuda.step.results import NEAR, rows_at
from raylax.kernels.model import Floats, Ints
from raylax.kernels.options import ModelOptions
from tests.support.batches import Piece, batch_of
from tests.support.checkpoints import write_checkpoint
from tests.support.cuda_demo import cubins_of
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.cuda_interpreter import matrix_unit

TAPS, PAGES = (2, 0, 1), 16
OPTIONS = ModelOptions("q0bf16", "auto", "cuda:0", "sm_90", 2, 64, 4, 64)
TAPPED = replace(OPTIONS, taps=TAPS)
PROMPT = [int(one) for one in np.random.default_rng(5).integers(0, 99, 18)]
WHOLE = Piece(PROMPT, 0, [3, 1])
OTHER = Piece(PROMPT[7:13], 0, [9])


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100, and a store with the machine code of the model."""
    read = open_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), "llama"))
    directory, form = tmp_path_factory.mktemp("driver"), form_of(read, TAPPED)
    make = partial(cubins_of, form, store)
    yield from FakeMachine.with_code(directory, make, RAYLAX_STORE=str(store))


@cache
def model() -> Path:
    return write_checkpoint(Path(os.environ["LD_LIBRARY_PATH"]) / "model", "llama")


@cache
def tapped() -> DeviceModel:
    """Of all layers, in another order."""
    return load_on_device(model(), TAPPED, PAGES)


def streams(one: DeviceModel, tokens: Ints, *pieces: Piece) -> Floats:
    one.step(batch_of(pieces))
    return one.tapped(tokens)


def numbers(first: int, end: int) -> Ints:
    return np.arange(first, end, dtype=np.int32)


@on_fake_device
def test_streams_are_the_cpus() -> None:
    """Of each token that is asked for, in the order in which taps are named."""
    cpu = load_model(model(), replace(TAPPED, device="cpu", target=None), PAGES)
    asked = np.array([17, 0, 16, 23], np.int32)
    cpu.step(batch_of([WHOLE, OTHER]))
    want = cpu.tapped(asked)

    found = streams(tapped(), asked, WHOLE, OTHER)

    assert found.shape == want.shape == (4, 3 * tapped().spec.hidden)
    for got, wanted in zip(np.split(found, 3, 1), np.split(want, 3, 1), strict=True):
        assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()
    assert len(tapped().tapped(numbers(0, 0))) == 0


@on_fake_device
def test_rows_that_lie_far_from_each_other_are_read_apart() -> None:
    """In any order, and one of them twice."""
    stream, memory = Stream(0), DeviceMemory(200 * 8)
    content = np.arange(400, dtype=np.float32).reshape(200, 2)
    write(memory.address, content, stream.address)
    rows = np.array([199, 3, 4, 150, 3, 3 + NEAR], np.int32)

    assert np.array_equal(rows_at(memory.address, rows, 2, stream.address), content[rows])
    assert rows_at(memory.address, rows[:0], 2, stream.address).shape == (0, 2)


@on_fake_device
def test_a_token_has_the_same_bits_in_any_step() -> None:
    """Law 1: also in a graph, and in one that is filled up."""
    with matrix_unit(HOPPER):
        whole = streams(tapped(), numbers(11, 18), WHOLE)
        streams(tapped(), numbers(0, 0), Piece(PROMPT[:11], 0, [12, 13]))
        pieces = OTHER, Piece(PROMPT[11:], 11, [12, 13])
        chunked = streams(tapped(), numbers(6, 13), *pieces)

    assert np.array_equal(chunked, whole)


@on_fake_device
def test_they_change_no_logits() -> None:
    """And take memory that was said before."""
    step = batch_of([WHOLE])
    plain, kept = load_on_device(model(), OPTIONS, PAGES).step(step), tapped().step(step)

    assert np.array_equal(np.array(kept.logits), np.array(plain.logits))
    assert np.array_equal(np.array(kept.hidden), np.array(plain.hidden))
    kept_bytes = StepCapacity(form_of(open_checkpoint(model()), TAPPED), TAPPED).values["taps"]
    assert kept_bytes == 64 * 3 * 64 * 4
    assert footprint(model(), TAPPED).workspace >= footprint(model(), OPTIONS).workspace
