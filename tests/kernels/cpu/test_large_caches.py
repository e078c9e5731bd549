"""Tensors of more than 2^31 elements: what lies beyond is as what lies before."""

from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.options import ModelOptions
from tests.support.batches import Piece, run
from tests.support.checkpoints import write_checkpoint

MANY = 600_000
"""Pages of the tiny model, 4096 elements each over two layers: memory that nobody touches."""
PROMPT = np.random.default_rng(5).integers(0, 99, 300).tolist()


@pytest.mark.parametrize("threads", [1, 2])
def test_pages_beyond_two_to_the_31_have_the_same_bits(
    tmp_path: Path, store: Path, threads: int
) -> None:
    """A prompt and a decode in the last pages of a cache of 9 GiB, and in a small one."""
    checkpoint = write_checkpoint(tmp_path)

    def load(pages: int) -> CpuModel:
        options = ModelOptions("q0f32", "f32", "cpu", None, threads, 512, 4, 512)
        return load_model(checkpoint, options, pages, store)

    small, large = load(20), load(MANY)
    assert large._arrays["pages"].size > 2**31
    where = list(range(20)), list(range(MANY - 20, MANY))

    for tokens, start in (PROMPT, 0), ([7], len(PROMPT)):
        few, many = (
            run(model, Piece(tokens, start, pages))
            for model, pages in zip((small, large), where, strict=True)
        )
        assert np.array_equal(few, many)
    for at in 0, 18:
        assert small.read_page(where[0][at]) == large.read_page(where[1][at])
