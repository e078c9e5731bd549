"""The first step of a model shows whether its weights are numbers."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.worker.errors import ConfigError
from tests.support.checkpoints import write_checkpoint
from tests.support.engines import ONE, request, running_engine


def spoil(path: Path, name: str, value: float) -> None:
    """Put a value into the middle of a tensor."""
    file = path / "model.safetensors"
    weights = {key: tensor.copy() for key, tensor in load_file(file).items()}
    weights[name].reshape(-1)[weights[name].size // 2] = value
    save_file(weights, file)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["model.layers.1.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"]
)
def test_a_tensor_that_is_not_finite_is_named(tmp_path: Path, name: str, value: float) -> None:
    """When the model is loaded, rather than by each request."""
    path = write_checkpoint(tmp_path / "model", tie_word_embeddings=False)
    spoil(path, name, value)

    with (
        pytest.raises(ConfigError, match=f"tensor {name} has 1 of .* NaN or infinite"),
        running_engine(path, ONE),
    ):
        pass


def test_a_model_of_numbers_starts(checkpoint: Path) -> None:
    """And has spent no step on it that counts, nor a page."""
    with running_engine(checkpoint, ONE) as (engine, answers):
        assert engine.load().step == 0
        assert engine.load().pages_used == 0
        engine.add_request(request("r", [5, 6]))
        answers.wait_for("r")
