"""The table of weights, against checkpoints that know nothing of it."""

from dataclasses import replace

import numpy as np
import pytest

from raylax.kernels.families import spec_of, tensors_of, weights_of
from raylax.kernels.families.weight import Names
from raylax.kernels.families.weight_table import Layout, weight_table
from raylax.kernels.padding import Multiples, laid_out, unpadded
from raylax.kernels.spec import DecoderSpec
from tests.support.checkpoints import ODD_SIZES, VARIANTS, config_of, tensor_shapes

OUT: Names = ("model.layers.{layer}.attention.out.weight",)


def spec(variant: str = "llama") -> DecoderSpec:
    return spec_of(config_of(variant))


@pytest.mark.parametrize("variant", VARIANTS | ODD_SIZES)
def test_it_names_every_tensor_of_a_checkpoint(variant: str) -> None:
    """With its shape, and nothing else: biases, heads and layers as the config has them."""
    assert dict(tensors_of(spec(variant))) == tensor_shapes(config_of(variant))


def test_a_weight_is_made_of_tensors_whose_rows_follow_each_other() -> None:
    """Queries, keys, values, of the layer that is asked for."""
    shapes = tensor_shapes(config_of("llama"))
    weight = weights_of(spec())["w_qkv"]

    made = lambda name, rows: np.full(shapes[name], ord(name[-13]), np.float32)[rows]  # noqa: E731
    values = weight.read(made, 1, slice(None))
    some = weight.read(made, 1, slice(100, 200))

    assert [name for name, _ in weight.sources(1)] == [
        f"model.layers.1.self_attn.{part}_proj.weight" for part in "qkv"
    ]
    assert values.shape == weight.shape == (256, 64)
    assert "".join(chr(int(row[0])) for row in values[::64]) == "qqkv"
    assert np.array_equal(some, values[100:200])


def test_a_weight_that_has_no_layers_is_read_as_it_is() -> None:
    """Nothing is copied."""
    norm = np.ones(64, np.float32)

    weight = weights_of(spec())["norm_f"]

    assert not weight.layered and not weight.is_matrix
    assert weight.read(lambda name, _: {"model.norm.weight": norm}[name], 0, slice(None)) is norm


def test_padding_is_behind_each_half_of_a_head() -> None:
    """Of queries, keys and values, and of what the output takes; zeros, and nothing else moves."""
    own = replace(spec(), heads=2, kv_heads=1, head_dim=6, hidden=5)
    table = weights_of(laid_out(own, Multiples(4, 8, 32)))
    parts = {"q": 12, "k": 6, "v": 6}
    values = {name: np.full((rows, 5), rows, np.float32) for name, rows in parts.items()}
    drawn = np.random.default_rng(0).standard_normal((5, 12), np.float32)
    made = lambda name, rows: values[name[-13]][rows]  # noqa: E731

    qkv = table["w_qkv"].read(made, 1, slice(None)).reshape(8, 4, 8)
    some = [table["w_qkv"].read(made, 1, slice(i, i + 3)) for i in range(0, 32, 3)]
    o = table["w_o"].read(lambda _, rows: drawn[rows], 1, slice(None)).reshape(8, 4, 4)

    assert qkv[:, :3, :5].tolist() == np.concatenate([*values.values()]).reshape(8, 3, 5).tolist()
    assert not qkv[:, 3].any() and not qkv[..., 5:].any()
    assert np.array_equal(np.concatenate(some), qkv.reshape(32, 8))
    assert np.array_equal(o[:5, :, :3], drawn.reshape(5, 4, 3))
    assert not o[5:].any() and not o[..., 3].any()


def test_padding_is_behind_gate_and_behind_up() -> None:
    """In the type that the file has, also where all of it is padding."""
    own = replace(spec(), intermediate=3, hidden=4, mlp_bias=True)
    table = weights_of(laid_out(own, Multiples(4, 2, 8)))
    bits = np.arange(12, dtype=np.uint16).reshape(3, 4) + 1

    both = table["w_gate_up"].read(lambda _, rows: bits[rows], 0, slice(None))
    bias = table["b_gate_up"].read(lambda _, rows: bits[rows, 0], 0, slice(2, 11))

    assert both.dtype == np.uint16 and both.shape == (16, 4)
    assert np.array_equal(both[:3], bits) and np.array_equal(both[8:11], bits)
    assert both.sum() == 2 * bits.sum()
    assert bias.tolist() == [9, 0, 0, 0, 0, 0, 1, 5, 9]
    for rows in (slice(3, 8), slice(12, 16)):
        nothing = table["w_gate_up"].read(lambda _, rows: bits[rows], 0, rows)
        assert nothing.dtype == np.uint16 and not nothing.any() and len(nothing) > 3


def test_a_spec_that_fits_is_its_own() -> None:
    """And a padded one knows what it was."""
    odd = replace(spec(), hidden=100, head_dim=80, intermediate=200)
    padded = laid_out(odd, Multiples(32, 32, 32))

    assert laid_out(spec(), Multiples(32, 32, 32)) == unpadded(spec()) == spec()
    assert (padded.hidden, padded.head_dim, padded.intermediate) == (128, 96, 224)
    assert unpadded(padded) == odd and laid_out(padded, Multiples(32, 32, 32)) == padded
    assert dict(tensors_of(padded)) == dict(tensors_of(odd))


def test_one_matrix_is_embedding_and_head_where_they_are_tied() -> None:
    """It goes by the name of the embedding."""
    tied, untied = (weights_of(replace(spec(), tied_embeddings=one)) for one in (True, False))

    assert "w_embed" in tied and "w_head" not in tied
    assert untied["w_head"].tensors == ("lm_head.weight",)


def test_a_family_may_have_a_weight_elsewhere() -> None:
    """Only the name is another one."""
    table, usual = weight_table(spec(), Layout({"w_o": OUT})), weights_of(spec())

    assert list(table["w_o"].sources(1)) == [("model.layers.1.attention.out.weight", (64, 128))]
    assert table == {**usual, "w_o": replace(usual["w_o"], tensors=OUT)}
