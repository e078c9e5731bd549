"""Scores that each head has of its own take part once, wherever keys are cut: the numbers are those
of transformers in `test_families.py`."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from raylax.kernels.cpu.model import load_model
from tests.support.batches import OPTIONS, Piece, run
from tests.support.family_checkpoints import write_family

PROMPT = np.random.default_rng(4).integers(0, 99, 480).tolist()
PAGES = np.random.default_rng(3).permutation(32).tolist()[:30]


def test_split_or_not_the_bits_are_the_same(tmp_path: Path, store: Path) -> None:
    """One thread splits nothing; of several, each has some blocks of a sequence that decodes."""
    path = write_family(tmp_path, "gpt-oss")
    found = []
    for threads in (1, 3):
        model = load_model(path, replace(OPTIONS, threads=threads), pages=32, store=store)
        rows = np.arange(471, 479, dtype=np.int32)
        found.append(run(model, Piece(PROMPT[:479], 0, PAGES), rows=rows))
        found.append(run(model, Piece(PROMPT[478:479], 478, PAGES)))

    whole, one, split, decoded = found
    assert np.array_equal(whole, split)
    assert np.array_equal(one, whole[-1:]) and np.array_equal(decoded, one)
