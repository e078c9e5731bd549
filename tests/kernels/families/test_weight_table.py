"""The table of weights, against checkpoints that know nothing of it."""

from dataclasses import replace

import numpy as np
import pytest

from raylax.kernels.families import spec_of, tensors_of, weights_of
from raylax.kernels.families.weight_table import Names, weight_table
from raylax.kernels.spec import DecoderSpec
from tests.support.checkpoints import VARIANTS, config_of, tensor_shapes

OUT: Names = ("model.layers.{layer}.attention.out.weight",)


def spec(variant: str = "llama") -> DecoderSpec:
    return spec_of(config_of(variant))


@pytest.mark.parametrize("variant", VARIANTS)
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


def test_one_matrix_is_embedding_and_head_where_they_are_tied() -> None:
    """It goes by the name of the embedding."""
    tied, untied = (weights_of(replace(spec(), tied_embeddings=one)) for one in (True, False))

    assert "w_embed" in tied and "w_head" not in tied
    assert untied["w_head"].tensors == ("lm_head.weight",)


def test_a_family_may_have_a_weight_elsewhere() -> None:
    """Only the name is another one."""
    table, usual = weight_table(spec(), {"w_o": OUT}), weights_of(spec())

    assert list(table["w_o"].sources(1)) == [("model.layers.1.attention.out.weight", (64, 128))]
    assert table == {**usual, "w_o": replace(usual["w_o"], tensors=OUT)}
