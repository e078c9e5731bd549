"""Every type of tensor that is read is decoded as llama.cpp's own package does it, and the others
are refused with those that are."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from raylax.kernels.checkpoints.gguf import blocks
from raylax.kernels.checkpoints.gguf.blocks import KNOWN, bytes_of, decoded
from raylax.kernels.checkpoints.gguf.checkpoint import Tensor
from raylax.kernels.checkpoints.gguf.header import read_header
from raylax.kernels.errors import CheckpointError
from tests.support.rows import same_by_rows

ASKED = (
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
    "Q6_K", "IQ4_NL", "MXFP4",
)  # fmt: skip
"""What must be there, whatever else is."""
ROWS, COLUMNS = 11, 768


def content_of(kind: GGMLQuantizationType) -> np.ndarray:
    """Rows of any bytes."""
    block, size = GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(int(kind))
    return rng.integers(0, 256, (ROWS, COLUMNS // block * size), np.uint8)


def test_all_that_must_be_are_known() -> None:
    assert set(ASKED) <= set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_type_is_decoded_as_by_the_package(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of a file, whole and by rows; in parts that end within a row."""
    kind = GGMLQuantizationType[name]
    content, file = content_of(kind), tmp_path / "one.gguf"
    writer = GGUFWriter(file, "llama")
    writer.add_tensor("one", content, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    want = dequantize(content, kind)
    monkeypatch.setattr(blocks, "AT_ONCE", 5 * 256)

    (place,) = read_header(file, bytes_of).tensors.values()
    found = Tensor(file, place)

    assert found.shape == (ROWS, COLUMNS)
    assert np.array_equal(found.read(), want, equal_nan=True)
    same_by_rows(lambda rows: np.nan_to_num(found.read(rows)))


@pytest.mark.parametrize("kind", [one for one in GGMLQuantizationType if one.name not in KNOWN])
def test_another_type_is_refused_with_those_that_are_known(kind: GGMLQuantizationType) -> None:
    with pytest.raises(ValueError, match=f"type {int(kind)} is not read; those .*Q4_K.*MXFP4"):
        bytes_of(int(kind), (1, 256))


@pytest.mark.parametrize("name", [one for one in KNOWN if one not in blocks.PLAIN])
@pytest.mark.parametrize("columns", [1, 31, 100, 257])
def test_rows_of_no_whole_blocks_are_refused(name: str, columns: int) -> None:
    """With how many numbers a block has."""
    kind = GGMLQuantizationType[name]
    with pytest.raises(ValueError, match=f"rows of {columns} are no whole blocks of {name}, "):
        bytes_of(int(kind), (4, columns))


@pytest.mark.parametrize("name", blocks.PLAIN)
def test_numbers_by_themselves_have_rows_of_any_length(name: str) -> None:
    kind = GGMLQuantizationType[name]
    content = np.arange(7 * GGML_QUANT_SIZES[kind][1], dtype=np.uint8)

    assert bytes_of(int(kind), (1, 7)) == len(content)
    assert decoded(content, int(kind), 7).shape == (1, 7)


def test_a_file_says_which_tensor_it_is(tmp_path: Path) -> None:
    """In the line that refuses it."""
    file = tmp_path / "odd.gguf"
    writer = GGUFWriter(file, "llama")
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((2, 18), np.uint8),
                      raw_dtype=GGMLQuantizationType.Q4_0)  # fmt: skip
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = bytearray(file.read_bytes())
    at = content.index(b"blk.0.ffn_up.weight") + 19 + 4
    content[at : at + 8] = (33).to_bytes(8, "little")
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match="ffn_up.weight: rows of 33 are no whole blocks"):
        read_header(file, bytes_of)
