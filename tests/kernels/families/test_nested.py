"""Models of text inside of others, by their configs and by the names of their tensors."""

import json
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.checkpoints.hugging_face import HuggingFaceCheckpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of
from raylax.kernels.families.nested import text_tensors
from tests.support.family_checkpoints import write_family
from tests.support.family_configs import CONFIGS

GEMMA = {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
         "model_type": "gemma3_text", "sliding_window": 1024,
         "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}  # fmt: skip
"""All that Gemma 3 4B says of its text."""


def test_what_a_config_leaves_out_is_what_its_code_means() -> None:
    spec = spec_of({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": GEMMA})

    assert (spec.heads, spec.kv_heads, spec.head_dim, spec.vocab) == (8, 4, 256, 262208)
    assert (spec.max_positions, spec.rope.theta, spec.rope.factor) == (131072, 1e6, 8.0)
    assert spec.local is not None and spec.local.window == 1024
    assert spec.local.layers[:6] == (0, 1, 2, 3, 4, 6)
    assert spec.tied_embeddings


@pytest.mark.parametrize("name", ["gemma3-images", "mistral3"])
def test_it_is_what_it_is_by_itself(name: str) -> None:
    alone = {"gemma3-images": "gemma3", "mistral3": "mistral-window"}[name]

    assert spec_of(CONFIGS[name]) == spec_of(CONFIGS[alone])


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (None, "text_config must be an object, found None"),
        ({"model_type": "ministral3"}, "model_type must be mistral, found 'ministral3'"),
    ],
)
def test_another_one_inside_is_refused(inside: Any, said: str) -> None:
    config = {**CONFIGS["mistral3"], "text_config": inside}

    with pytest.raises(CheckpointError, match=said):
        spec_of(config)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("language_model.model.norm.weight", ["model.norm.weight"]),
        ("model.language_model.norm.weight", ["model.norm.weight"]),
        ("language_model.lm_head.weight", ["lm_head.weight"]),
        ("lm_head.weight", ["lm_head.weight"]),
        ("vision_tower.layers.0.weight", []),
        ("model.multi_modal_projector.linear_1.weight", []),
    ],
)
def test_names_are_those_of_the_text_alone(name: str, own: list[str]) -> None:
    assert [*text_tensors({name: 1})] == own


def test_its_texts_are_those_of_the_text_alone(tmp_path: Path, store: Path) -> None:
    """Whoever reads them finds the sizes where they are in others."""
    path = write_family(tmp_path / "model", "gemma3-images")
    text = HuggingFaceCheckpoint(path, store).text
    config = json.loads((text / "config.json").read_text())

    assert config["vocab_size"] == CONFIGS["gemma3"]["vocab_size"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (text / name).read_bytes() == (path / name).read_bytes()
