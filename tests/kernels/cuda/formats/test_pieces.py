"""Matrices are packed some rows at a time, as if all were there."""

import numpy as np
import pytest

from raylax.kernels.cuda.formats import pieces
from raylax.kernels.cuda.formats.base import Format
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.formats.pieces import Source, packed
from raylax.kernels.cuda.formats.shards import Part, packed_part

FORMS = (
    Dense("bf16"),
    Grouped("f16", 8, 32),
    Grouped("bf16", 4, 128),
    Grouped("f16", 8, 128, True),
)
PARTS = (
    Part(),
    Part(rows=((16, 40), (100, 17))),
    Part(columns=(128, 256), others=((0, 128),)),
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form.name))
@pytest.mark.parametrize("part", PARTS, ids=range(len(PARTS)))
@pytest.mark.parametrize("mapped", [False, True])
def test_pieces_are_as_the_whole(
    form: Format, part: Part, mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none has more rows than it may; what is mapped is taken whole."""
    matrix = np.random.default_rng(1).standard_normal((128, 512), np.float32)
    asked = list[int]()

    def read(rows: slice) -> np.ndarray:
        asked.append(len(matrix[rows]))
        return matrix[rows]

    monkeypatch.setattr(pieces, "ROWS_OF", 9 * 512)
    want = packed_part(form, matrix, part)

    found = packed(form, Source((128, 512), read, mapped), part, 2)

    assert found.keys() == want.keys()
    for name in want:
        assert found[name].dtype == want[name].dtype
        assert np.array_equal(found[name], want[name]), name
    assert max(asked) == (128 if mapped else 9)
