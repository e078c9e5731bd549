"""Each family as llama.cpp's converter writes it (tests/goldens/gguf/make.py): its weights, and all
that its spec says, are those of the checkpoint that it was made of."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.gguf.blocks import bytes_of
from raylax.kernels.checkpoints.gguf.config import config_of
from raylax.kernels.checkpoints.gguf.header import read_header
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.families import weights_of
from raylax.kernels.spec import DecoderSpec
from tests.support.family_checkpoints import write_family
from tests.support.family_configs import IN_GGUF
from tests.support.paths import GOLDENS

EXPERT = "model.layers.1.mlp.experts.5"


def unpacked(name: str, path: Path) -> Path:
    file = path / f"{name}.gguf"
    file.write_bytes(gzip.decompress((GOLDENS / "gguf" / f"{name}.gguf.gz").read_bytes()))
    return file


def traits(spec: DecoderSpec) -> DecoderSpec:
    """What is written in files with fewer digits, or in whole, alike."""
    rope = replace(
        spec.rope,
        magnitude=round(spec.rope.magnitude, 5),
        factors=tuple(round(one, 5) for one in spec.rope.factors),
        long_factors=tuple(round(one, 5) for one in spec.rope.long_factors),
    )
    scales = {
        name: round(getattr(spec, name), 6)
        for name in ("norm_eps", "embed_scale", "residual_scale", "query_scale", "logit_scale")
    }
    experts = spec.experts and replace(spec.experts, scale=round(spec.experts.scale, 6))
    return replace(spec, norm_offset=0.0, in_gguf=False, rope=rope, experts=experts, **scales)


@pytest.mark.parametrize("name", IN_GGUF)
def test_it_is_the_model_that_it_was_made_of(name: str, tmp_path: Path) -> None:
    made = open_checkpoint(unpacked(name, tmp_path))
    origin = open_checkpoint(write_family(tmp_path / "hf", name))

    assert traits(made.spec) == traits(origin.spec)
    for name, weight in weights_of(origin.spec).items():
        for layer in range(weight.times(origin.spec.layers)):
            assert np.array_equal(read(made, name, layer), read(origin, name, layer)), name


def test_mxfp4_is_kept_alike(tmp_path: Path) -> None:
    """The same groups, whichever files they come from."""
    made = open_checkpoint(unpacked("gpt-oss-mxfp4", tmp_path))
    origin = open_checkpoint(write_family(tmp_path / "hf", "gpt-oss-mxfp4"))

    for name in ("gate_proj", "up_proj", "down_proj"):
        one, other = (each.groups(f"{EXPERT}.{name}.weight") for each in (made, origin))
        assert one.kind == other.kind
        assert np.array_equal(one.codes, other.codes) and np.array_equal(one.scale, other.scale)


def test_a_layer_that_predicts_more_is_none_of_the_models(tmp_path: Path) -> None:
    """Files count it, and configs do not."""
    file = unpacked("glm4-moe", tmp_path)
    more = {"glm4moe.block_count": 5, "glm4moe.nextn_predict_layers": 1}
    metadata = {**read_header(file, bytes_of).metadata, **more}

    assert config_of(metadata, file, False, {})["num_hidden_layers"] == 4


def read(checkpoint: Checkpoint, name: str, layer: int) -> np.ndarray:
    weight = weights_of(checkpoint.spec)[name]
    return weight.read(checkpoint.tensor, layer, slice(None))
