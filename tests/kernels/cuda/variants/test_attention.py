"""Which tiles there are for a model's heads, and which one a step takes."""

import pytest

from raylax.kernels.cuda.variants.attention import (
    KEYS,
    WIDEST,
    AttentionShape,
    attend,
    choose,
    combine,
)
from raylax.kernels.errors import CompileError

LLAMA = AttentionShape(32, 8, 128, "bf16")
SHAPES = [
    AttentionShape(heads, kv_heads, dim, precision, kv)
    for heads, kv_heads in ((32, 8), (14, 2), (16, 16))
    for dim in (16, 32, 64, 80, 96, 128, 256)
    for precision in ("f16", "bf16")
    for kv in ("plain", "int8", "fp8")
]


@pytest.mark.parametrize("chip", WIDEST)
def test_tiles_of_a_model_differ_in_nothing_that_is_part_of_the_result(chip: int) -> None:
    for shape in SHAPES:
        made = attend(shape, chip)
        constants = [{k: v for k, v in v.constants.items() if k != "BQ"} for v in made]

        assert all(c == constants[0] for c in constants)
        assert constants[0]["BK"] == KEYS
        assert [v.most for v in made] == [v.constants["BQ"] for v in made]
        assert [v.most for v in made] == sorted({v.most or 0 for v in made})


@pytest.mark.parametrize("chip", WIDEST)
def test_names_say_all_that_differs(chip: int) -> None:
    traits = [
        AttentionShape(32, 8, 128, "bf16", "int8", w, c, s, n)
        for w, s in ((False, False), (True, False), (True, True))
        for n in (False, True)
        for c in (False, True)
    ]
    made = [v for shape in [*SHAPES, *traits[1:]] for v in (*attend(shape, chip), combine(shape))]

    by_name = {v.name: v for v in made}
    assert all(by_name[v.name] == v for v in made)
    assert len(by_name) == len({(v.name, *v.types.values(), *v.constants.items()) for v in made})


def test_the_longest_chunk_chooses() -> None:
    made = attend(LLAMA, 90)

    queries = [choose(made, LLAMA.group, longest).most for longest in (1, 2, 3, 4, 5, 9, 16, 2000)]
    assert queries == [8, 8, 16, 16, 32, 64, 64, 64]


def test_a_tile_takes_at_least_one_token() -> None:
    assert [v.most for v in attend(AttentionShape(32, 2, 128, "bf16"), 80)] == [16, 32]
    with pytest.raises(CompileError, match="tiles of 32 queries.* 64 for a head of keys"):
        attend(AttentionShape(64, 1, 128, "bf16"), 80)


@pytest.mark.parametrize("dim", [8, 40, 272, 512])
def test_what_is_not_made_is_refused(dim: int) -> None:
    with pytest.raises(CompileError, match=f"16 to 256 dims, a multiple of 16.*has {dim}"):
        AttentionShape(8, 8, dim, "bf16")


def test_other_precisions_heads_and_chips_are_refused() -> None:
    with pytest.raises(CompileError, match="in bf16, f16, asked for f32"):
        AttentionShape(8, 8, 64, "f32")
    with pytest.raises(CompileError, match="8 heads cannot share 3"):
        AttentionShape(8, 3, 64, "bf16")
    with pytest.raises(CompileError, match="tuned for sm_80, .*, not for sm_75"):
        attend(LLAMA, 75)
