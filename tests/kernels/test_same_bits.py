"""Law 1 in the kernels: a row has the same bits whatever shares its step."""

from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.build import ModelOptions
from raylax.kernels.formats import NAMES
from raylax.kernels.model import Model, load_model
from tests.batches import Floats, Piece, arrays, run

PAGES = [7, 3, 11, 5, 2]
PROMPT = np.random.default_rng(5).integers(0, 99, 77).tolist()


def load(
    checkpoint: Path, store: Path, quantization: str, threads: int = 2, kv: str = "auto"
) -> Model:
    options = ModelOptions(quantization, kv, "cpu", None, threads, 256, 32, 256)
    return load_model(checkpoint, options, pages=256, store=store)


@pytest.fixture(scope="module", params=[*((name, "auto") for name in NAMES), ("q0f32", "int8")])
def model(request: pytest.FixtureRequest, checkpoint: Path, store: Path) -> Model:
    """Every weight format, and every KV format with some of them."""
    quantization, kv = request.param
    return load(checkpoint, store, quantization, kv=kv)


@pytest.fixture(scope="module")
def alone(model: Model) -> Floats:
    """The logits after the prompt, computed in one step with nothing beside it."""
    logits: Floats = run(model, Piece(PROMPT, 0, PAGES))[0]
    return logits


def others(count: int, length: int) -> list[Piece]:
    rng = np.random.default_rng(9)
    return [
        Piece(rng.integers(0, 99, length).tolist(), 0, range(100 + 5 * i, 105 + 5 * i))
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 16, 31])
def test_decoding_in_any_batch(model: Model, alone: Floats, count: int) -> None:
    """The last token decoded among `count` others: every row tile and every tail."""
    run(model, Piece(PROMPT[:-1], 0, PAGES))

    got = run(model, *others(count, 1), Piece(PROMPT[-1:], len(PROMPT) - 1, PAGES))

    assert np.array_equal(got[-1], alone)


@pytest.mark.parametrize("size", [1, 5, 16, 40, 64])
def test_prefill_in_any_chunks(model: Model, alone: Floats, size: int) -> None:
    """The prompt cut into chunks, each beside another prompt."""
    for start in range(0, len(PROMPT), size):
        got = run(model, *others(2, 20), Piece(PROMPT[start : start + size], start, PAGES))

    assert np.array_equal(got[-1], alone)


def test_pages_may_lie_anywhere(model: Model, alone: Floats) -> None:
    """Other pages, with what their former owners left in them."""
    run(model, *others(10, 20))

    got = run(model, Piece(PROMPT, 0, [140, 101, 119, 105, 128]))

    assert np.array_equal(got[0], alone)


@pytest.mark.parametrize("quantization", ["q0f32", "q0bf16"])
def test_one_thread_or_two(checkpoint: Path, store: Path, quantization: str) -> None:
    """Tasks are shared out differently, sums are not."""
    first, second = (
        run(load(checkpoint, store, quantization, threads), Piece(PROMPT, 0, PAGES))
        for threads in (1, 2)
    )

    assert np.array_equal(first, second)


@pytest.mark.parametrize("quantization", ["q0f32", "q0bf16"])
def test_any_x86_gives_the_same_bits(checkpoint: Path, store: Path, quantization: str) -> None:
    """AVX2 without the bf16 instruction agrees with whatever this CPU has."""
    options = ModelOptions(quantization, "auto", "cpu", "x86-64-v3", 2, 256, 32, 256)
    plain = load_model(checkpoint, options, pages=64, store=store)

    want = run(load(checkpoint, store, quantization), Piece(PROMPT, 0, PAGES))

    assert np.array_equal(run(plain, Piece(PROMPT, 0, PAGES)), want)


def test_the_largest_logit_is_chosen(model: Model) -> None:
    """The compiled argmax agrees with numpy's, ties and padding included."""
    output = model.step(**arrays(others(9, 12)))

    assert output.argmax.tolist() == output.logits.argmax(1).tolist()
