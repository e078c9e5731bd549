"""Each family as MLC-LLM packages it: its weights, and what its spec says, are those of the
checkpoint that it was made of."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import weights_of
from raylax.kernels.spec import DecoderSpec
from tests.support.family_checkpoints import write_family
from tests.support.mlc_families import TYPES, write_family_package

SAID_ELSEWHERE = {"qwen2-window", "gemma2"}
"""Those whose windows packages say nothing of: MLC computes none of them."""


def alike(spec: DecoderSpec) -> DecoderSpec:
    """But for what packages have otherwise: norms as they count, and names."""
    return replace(spec, architecture="", norm_offset=0.0, local=None)


@pytest.mark.parametrize(
    ("quantization", "how", "near"),
    [("q0f16", None, 0.0), ("q4f16_1", (4, 32, False), 0.1), ("q3f16_1", (3, 40, False), 0.2)],
)
@pytest.mark.parametrize("name", TYPES)
def test_it_is_the_model_that_it_was_made_of(
    name: str, quantization: str, how: Any, near: float, tmp_path: Path
) -> None:
    made = open_checkpoint(write_family_package(tmp_path / "mlc", name, quantization, how))
    origin = open_checkpoint(write_family(tmp_path / "hf", name))

    assert alike(made.spec) == alike(origin.spec)
    assert made.spec.local == origin.spec.local or name in SAID_ELSEWHERE
    theirs = weights_of(made.spec)
    for called, weight in weights_of(origin.spec).items():
        for number in range(weight.times(origin.spec.layers)):
            want = weight.read(origin.tensor, number, slice(None))
            got = theirs[called].read(made.tensor, number, slice(None))
            assert np.abs(got - want).max() <= near * np.abs(want).max(), called


def test_experts_that_are_too_few_are_told(tmp_path: Path) -> None:
    path = write_family_package(tmp_path, "mixtral", "q4f16_1", (4, 32, False))
    file = path / "mlc-chat-config.json"
    package = json.loads(file.read_text())
    package["model_config"]["num_local_experts"] = 6
    file.write_text(json.dumps(package))

    with pytest.raises(CheckpointError, match=r"e1_e3.*each of 6 experts expected, found \(5,"):
        open_checkpoint(path)
