"""A head for labels, by what a config says of it."""

from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.formats import quantization_of
from raylax.kernels.cpu.target import cpu
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of, tensors_of
from tests.support.family_checkpoints import write_family
from tests.support.family_configs import CONFIGS

UNSAID = {name: one for name, one in CONFIGS["gemma-labels"].items() if name != "id2label"}


@pytest.mark.parametrize(
    ("more", "labels"),
    [
        ({}, 2),
        ({"num_labels": 5}, 5),
        ({"num_labels": 5, "id2label": {"0": "no", "1": "maybe", "2": "yes"}}, 3),
        ({"num_labels": None, "id2label": {}}, 2),
    ],
)
def test_names_go_before_a_number(more: dict[str, Any], labels: int) -> None:
    """And it is never one with the embedding, which has all tokens."""
    spec = spec_of({**UNSAID, **more})

    assert (spec.vocab, spec.tokens, spec.tied_embeddings) == (labels, 99, False)
    assert dict(tensors_of(spec))["score.weight"] == (labels, spec.hidden)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"num_labels": 0}, "num_labels must be a positive integer, at most 2147483647, found 0"),
        ({"id2label": ["a"]}, "id2label must be an object"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(more: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        spec_of({**UNSAID, **more})


@pytest.mark.parametrize("name", ["w8a8", "q4f32_1", "q0bf16"])
def test_its_few_rows_are_kept_whole(name: str, tmp_path: Path) -> None:
    """Whatever the others become: they are all that an answer is made of."""
    checkpoint = open_checkpoint(write_family(tmp_path, "qwen3-reranker"))

    named = quantization_of(name, checkpoint, cpu()).named
    assert named["w_head"] == "f32" != named["w_qkv"]
