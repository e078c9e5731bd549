"""The graph for GPUs, run on this CPU: it is the model, to the last bit the same in any batch.

Only the schedules are a GPU's own, which TVM makes, and which no test here can run.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.cuda.model import CudaModel
from tests.support.batches import Piece, arrays
from tests.support.checkpoints import VARIANTS, write_checkpoint
from tests.support.cuda_graphs import (
    PAGES,
    PROMPT,
    SHARES,
    WHOLE,
    compiled,
    distance,
    is_the_same_in_any_batch,
    logits,
    on_device,
)

Make = Callable[[str, str], tuple[Path, CudaModel]]


@pytest.fixture(scope="module")
def make(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """(variant, format) -> its checkpoint, and the graph's model of it."""

    @cache
    def one(variant: str, quantization: str) -> tuple[Path, CudaModel]:
        checkpoint = write_checkpoint(tmp_path_factory.mktemp("graph"), variant)
        library = compiled(checkpoint, quantization, store)
        return checkpoint, on_device(checkpoint, quantization, library)

    return one


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_computes_the_model(variant: str, make: Make, store: Path) -> None:
    """Every family: as our own kernels do, but for the order of sums."""
    checkpoint, model = make(variant, "q0f32")

    assert distance(model, checkpoint, store) < SHARES["q0f32"]


@pytest.mark.parametrize("quantization", ["q0f16", "q0bf16"])
def test_16_bits_are_as_exact_as_they_can_be(quantization: str, make: Make, store: Path) -> None:
    """Weights and inputs of products are rounded, sums are f32."""
    checkpoint, model = make("llama", quantization)

    assert 0 < distance(model, checkpoint, store) < SHARES[quantization]


@pytest.mark.parametrize("quantization", SHARES)
def test_a_row_is_the_same_in_any_batch(quantization: str, make: Make) -> None:
    """To the last bit."""
    _, model = make("llama", quantization)

    assert is_the_same_in_any_batch(model)


def test_nobody_may_want_logits(make: Make) -> None:
    """Of a chunk that is not the prompt's last: it is there for the next one all the same."""
    _, model = make("llama", "q0f32")
    alone = logits(model, WHOLE)
    first = Piece(PROMPT[:20], 0, [4, 5, 6])

    output = model.step(**{**arrays([first]), "rows": np.zeros(0, np.int32)})

    assert output.logits.shape == (0, 99) and output.hidden.shape == (0, 64)
    assert np.array_equal(logits(model, Piece(PROMPT[20:], 20, [4, 5, 6])), alone)


@pytest.mark.parametrize("quantization", ["q0f32", "q0bf16"])
def test_pages_are_moved(quantization: str, make: Make) -> None:
    """As bytes: a sequence goes on from copies of its pages."""
    _, model = make("llama", quantization)
    logits(model, WHOLE)
    expected = logits(model, Piece([5], 40, [3, 1, 2]))
    logits(model, WHOLE)
    for source, copy in zip([3, 1, 2], [20, 21, 22], strict=True):
        model.write_page(copy, model.read_page(source))

    assert np.array_equal(logits(model, Piece([5], 40, [20, 21, 22])), expected)
    with pytest.raises(ValueError, match=r"a page of this model has \d+ bytes, found 3"):
        model.write_page(4, b"abc")


def test_the_head_shows_its_input_and_the_likeliest(make: Make) -> None:
    """What embeddings and greedy sampling take."""
    checkpoint, model = make("llama", "q0f32")

    output = model.step(**arrays([WHOLE]))

    assert output.argmax.tolist() == output.logits.argmax(1).tolist()
    assert output.hidden.shape == (1, 64)
    assert (model.quantization, model.kv_dtype, model.pages) == ("q0f32", "f32", PAGES)
