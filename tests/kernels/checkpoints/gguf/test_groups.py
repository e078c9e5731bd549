"""Blocks of a GGUF file, taken apart into groups, are the numbers that they were."""

from pathlib import Path

import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from raylax.kernels.checkpoints.gguf.blocks import KNOWN, PLAIN
from raylax.kernels.checkpoints.gguf.groups import TYPES
from raylax.kernels.checkpoints.readers import open_checkpoint
from tests.support.gguf_files import write_gguf
from tests.support.rows import same_in_groups

ROWS, BLOCKS = 5, 6
HALVES = {"Q4_0": 1, "Q4_1": 2, "Q5_0": 1, "Q5_1": 2, "Q8_0": 1, "IQ4_NL": 1, "IQ4_XS": 1,
          "Q4_K": 2, "Q5_K": 2, "Q3_K": 1, "MXFP4": 0}  # fmt: skip
"""How many f16 a block has; they are its first numbers, but for Q3_K."""
AT = {"Q3_K": 108}


def blocks_of(name: str) -> np.ndarray:
    """Any bytes, with scales that are finite."""
    rng, size = np.random.default_rng(7), GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    blocks = rng.integers(0, 256, (ROWS, BLOCKS, size), np.uint8)
    for i in range(HALVES[name]):
        at = AT.get(name, 0) + 2 * i
        scales = rng.normal(0, 0.01, (ROWS, BLOCKS)).astype(np.float16)
        blocks[:, :, at : at + 2] = scales[..., None].view(np.uint8)
    if name == "MXFP4":  # 255 is no number
        blocks[:, :, 0] = rng.integers(0, 255, (ROWS, BLOCKS))
    return blocks


@pytest.mark.parametrize("name", TYPES)
def test_nothing_is_rounded(name: str) -> None:
    """Bit for bit what the gguf package makes of the same bytes."""
    blocks = blocks_of(name)

    groups = TYPES[name].groups(blocks)

    assert groups.kind == TYPES[name].kind and groups.codes.flags.c_contiguous
    want = dequantize(blocks.reshape(ROWS, -1), GGMLQuantizationType[name])
    assert np.array_equal(groups.values(), want)


def test_the_largest_products_of_q3_k_fit() -> None:
    """-32 times -4 is 128, which no signed byte is."""
    blocks = np.zeros((1, 1, 110), np.uint8)
    blocks[:, :, 108:] = np.array([0.5], np.float16).view(np.uint8)

    values = TYPES["Q3_K"].groups(blocks).values()

    assert (values == 64).all()
    assert np.array_equal(values, dequantize(blocks[0], GGMLQuantizationType.Q3_K))


def test_what_is_kept_and_what_is_converted() -> None:
    """All others that are read have no groups of ours."""
    lattices = {name for name in KNOWN if name.startswith(("IQ1", "IQ2", "IQ3", "TQ"))}

    assert set(KNOWN) - set(TYPES) - set(PLAIN) == {"Q2_K", "Q6_K"} | lattices


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_a_files_groups_are_its_numbers(kind: str, tmp_path: Path) -> None:
    """Rows of queries and keys are where they belong."""
    write_gguf(tmp_path, kind=kind)
    found = open_checkpoint(tmp_path / "model.gguf")

    forms = {same_in_groups(found, name) for name in found.tensors}  # type: ignore[attr-defined]

    assert forms == {TYPES[kind].kind, "float32"}
