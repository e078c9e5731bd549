"""Heads of EAGLE's, and the layer that MiMo brings, on a driver without a GPU: what they come to is
what the CPU computes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.capacity import KEPT_BY_CUDA
from raylax.kernels.heads.base import DraftHead, HeadOutput
from raylax.kernels.heads.eagle import head_footprint, load_head, read_head
from raylax.kernels.model import Floats, StepBatch
from raylax.kernels.options import ModelOptions
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.rules import Row, draws_of, models_rule_of, rule_of
from tests.support.batches import Piece, batch_of
from tests.support.checkpoints import write_checkpoint
from tests.support.cuda_demo import cubins_of
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.cuda_interpreter import matrix_unit
from tests.support.draft_heads import HEADS, Head, inputs_of, write_head, write_mimo
from tests.support.draws import drawn_after
from tests.support.shards import bits

OPTIONS = ModelOptions("q0bf16", "auto", "cuda:0", "sm_90", 2, 64, 8, 128)
MIMO = "mimo"
VARIANTS = (*HEADS, MIMO)
PAGES, ELSEWHERE, LENGTH = [7, 3, 11], [5, 2, 9], 21
ROUNDED = 0.026
"""How far `eagle-3-odd`'s `hidden` is from itself in float64, as a share of the largest, if only
what products read is rounded to bf16: of these heads the farthest."""


def written(path: Path, variant: str) -> tuple[Path, Path]:
    """A head and its base."""
    if variant == MIMO:
        both = write_mimo(path / variant)
        return both, both
    base = write_checkpoint(path / variant / "base", HEADS[variant].base)
    return write_head(path / variant / "head", variant), base


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100, and a store with the machine code of all of them."""
    path = tmp_path_factory.mktemp("heads")

    def make() -> list[Path]:
        heads = [read_head(*written(path, variant)) for variant in VARIANTS]
        return [cubins_of(form_of(one, OPTIONS), store) for one in heads]

    directory = tmp_path_factory.mktemp("driver")
    yield from FakeMachine.with_code(directory, make, RAYLAX_STORE=str(store))


@cache
def files(variant: str) -> tuple[Path, Path]:
    return written(Path(os.environ["LD_LIBRARY_PATH"]), variant)


@cache
def on(device: str, variant: str) -> DraftHead:
    target = "sm_90" if device == "cuda:0" else None
    return load_head(*files(variant), replace(OPTIONS, device=device, target=target), 16)


def described(variant: str) -> Head:
    return HEADS[variant] if variant in HEADS else Head("llama", 1, (2,))


def started(device: str, variant: str) -> tuple[list[int], Floats]:
    """A prompt, and its features."""
    one, head = described(variant), on(device, variant)
    ids, tapped = inputs_of(one, LENGTH)
    parts = tapped.reshape(LENGTH, len(one.taps), -1)
    kept = parts[:, [one.taps.index(tap) for tap in head.taps]].reshape(LENGTH, -1)
    return ids, head.features(kept)


def whole(output: HeadOutput) -> HeadOutput:
    """A copy, with the logits of all tokens of the base."""
    logits = np.array(output.logits)
    if output.tokens is not None:
        every = np.full((len(logits), 99 if logits.shape[1] == 40 else 201), -np.inf, np.float32)
        every[:, output.tokens] = logits
        logits = every
    return output._replace(logits=logits, hidden=output.hidden.copy())


def check_near(got: Floats, want: Floats) -> None:
    """As near as bf16 comes, for each of two that round at other places; what is -inf is so in
    both."""
    there = np.isfinite(want)
    assert np.array_equal(there, np.isfinite(got))
    error = np.abs(got - want)[there].max() / np.abs(want[there]).max()
    assert error < 2 * ROUNDED, f"an error of {error:.3f}"


def compare(variant: str) -> None:
    """A prompt in one step, and two tokens behind it, on either device: from the same features."""
    gpu, cpu = on("cuda:0", variant), on("cpu", variant)
    (ids, features), (_, wanted) = (started(one, variant) for one in ("cuda:0", "cpu"))
    check_near(features, wanted)
    batch = batch_of([Piece(ids, 0, PAGES)])
    for at in range(LENGTH, LENGTH + 3):
        found, want = whole(gpu.step(batch, features)), whole(cpu.step(batch, wanted))

        check_near(found.logits, want.logits)
        check_near(found.hidden, want.hidden)
        assert found.drawn.tolist() == found.logits.argmax(1).tolist()
        assert found.largest.tolist() == found.logits.max(1).tolist()
        batch = batch_of([Piece(want.drawn.tolist(), at, PAGES)])
        features = wanted = want.hidden


@on_fake_device
def test_eagle_1_is_the_cpus() -> None:
    """With an embedding of its own and a bias, of odd sizes, and by speculators."""
    for variant in ("eagle-1", "eagle-1-odd", "eagle-1-speculators"):
        compare(variant)


@on_fake_device
def test_eagle_3_is_the_cpus() -> None:
    """Which names some tokens, of which all others have no logit."""
    for variant in ("eagle-3", "eagle-3-odd"):
        compare(variant)


@on_fake_device
def test_the_layer_that_a_model_brings_is_the_cpus() -> None:
    compare(MIMO)


@on_fake_device
def test_a_row_has_the_same_bits_in_any_step() -> None:
    """Law 1: a prompt at once, or in parts beside others, on pages that held something else."""
    for variant in ("eagle-1-odd", "eagle-3"):
        head = on("cuda:0", variant)
        with matrix_unit(HOPPER):
            ids, features = started("cuda:0", variant)
            alone = whole(head.step(batch_of([Piece(ids, 0, PAGES)]), features))
            for page in ELSEWHERE:
                head.write_page(page, b"\xff" * head.page_bytes)
            head.step(batch_of([Piece(ids[:17], 0, ELSEWHERE)]), features[:17])
            pieces = [Piece(ids[:3], 0, [12]), Piece(ids[17:], 17, ELSEWHERE)]
            given = np.concatenate((features[:3], features[17:]))
            beside = whole(head.step(batch_of(pieces), given))

        assert np.array_equal(bits(beside.logits[1]), bits(alone.logits[0]))
        assert np.array_equal(bits(beside.hidden[1]), bits(alone.hidden[0]))


WAYS = (
    Sampling(temperature=0.9, top_k=5, seed=3),
    Sampling(temperature=3.0, top_p=0.9, presence_penalty=1.0, seed=5),
    Sampling(temperature=0.0, logit_bias=((7, 90.0),)),
)


def drawing(batch: StepBatch, said: list[int]) -> StepBatch:
    """A row for each of the ways to draw."""
    rows = []
    for sampling in WAYS:
        request = Request("r", (3, 5), 99, sampling)
        adjustment = Adjustment(sampling, 2)
        adjustment.tell([3, 5, *said])
        rows.append(Row(models_rule_of(request, rule_of(request)), len(said), adjustment))
    return batch._replace(draws=draws_of(rows))


@on_fake_device
def test_it_draws_by_the_engines_rules() -> None:
    """With noise by the base's ids, also where the head names some of them."""
    for variant in ("eagle-1", "eagle-3"):
        head, said = on("cuda:0", variant), [8, 8, 13]
        ids, features = started("cuda:0", variant)
        plain = batch_of([Piece(ids[at : at + 1], 0, [page]) for at, page in enumerate(PAGES)])
        logits = np.array(head.step(plain, features[:3]).logits)

        found = head.step(drawing(plain, said), features[:3]).drawn.tolist()

        whole_text, pairs = [3, 5, *said], zip(logits, WAYS, strict=True)
        assert head.draws
        assert found == [drawn_after(row, way, 0, whole_text, 2) for row, way in pairs]


@on_fake_device
def test_it_takes_what_was_said_before() -> None:
    """Of weights, workspace and pages, but for what CUDA is thought to keep."""
    on("cuda:0", "eagle-3")
    before, _ = driver.memory(0)
    needs = head_footprint(*files("eagle-3"), OPTIONS)

    second = load_head(*files("eagle-3"), OPTIONS, 16)

    said = needs.weights + needs.workspace - KEPT_BY_CUDA + 16 * needs.page
    taken = before - driver.memory(0)[0]
    assert 0.8 * said < taken <= said
    del second
