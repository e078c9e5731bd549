"""The first step of a model shows whether its weights are numbers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.loading import START_ERRORS
from raylax.worker.ranks.warm_up import PAGE, still_finite
from tests.support.checkpoints import write_checkpoint
from tests.support.damage import damage
from tests.support.engines import ONE, PATIENCE_S, TWO, request, running_engine
from tests.support.poisonous import write_poisonous


def spoil(path: Path, name: str, value: float) -> None:
    """Put a value into the middle of a tensor."""
    file = path / "model.safetensors"
    weights = {key: tensor.copy() for key, tensor in load_file(file).items()}
    weights[name].reshape(-1)[weights[name].size // 2] = value
    save_file(weights, file)


def scale(path: Path, name: str, factor: float) -> None:
    """Multiply a tensor."""
    file = path / "model.safetensors"
    weights = {key: tensor.copy() for key, tensor in load_file(file).items()}
    weights[name] *= np.float32(factor)
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


@pytest.mark.parametrize("format_", ["q0bf16", "w8a8", "q4f32_1"])
@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",
        "model.norm.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.1.self_attn.q_proj.weight",
    ],
)
def test_it_is_named_in_any_format(tmp_path: Path, format_: str, name: str) -> None:
    """Where it is packed, if the format has no NaN, or by the first step."""
    path = write_checkpoint(tmp_path / "model")
    spoil(path, name, np.nan)

    with (
        pytest.raises(START_ERRORS, match=f"tensor {name} has 1 of .* NaN or infinite"),
        running_engine(path, replace(ONE, quantization=format_)),
    ):
        pass


def test_one_token_without_an_answer_does_not_keep_a_model_from_starting(tmp_path: Path) -> None:
    """Not even the one that is tried first; it is known by another."""
    with running_engine(write_poisonous(tmp_path / "model", poison=0), ONE) as (engine, answers):
        engine.add_request(request("bad", [0]))
        engine.add_request(request("good", [5, 6], 2))
        answers.wait_for("bad", "good")

    assert engine.fault is None
    assert len(answers.tokens("good")) == 2


def test_a_model_without_any_answer_is_refused(tmp_path: Path) -> None:
    """Its weights are finite, what is computed of them is not."""
    path = write_checkpoint(tmp_path / "model")
    for half in ("gate", "up"):
        scale(path, f"model.layers.0.mlp.{half}_proj.weight", 1e25)

    with (
        pytest.raises(ConfigError, match="weights are finite, but the logits of 8 tokens"),
        running_engine(path, ONE),
    ):
        pass


@pytest.mark.parametrize("config", [ONE, TWO], ids=["one rank", "two shards"])
def test_a_look_between_two_steps_leaves_no_trace(checkpoint: Path, config: EngineConfig) -> None:
    """Whoever has the page that it uses finds it as it was; and it sees what has gone bad."""
    with running_engine(checkpoint, config) as (engine, _):
        model = engine._slot.loaded()
        executor, known = model.executor, model.self_check._known

        def do(work: Callable[[], Any]) -> Any:
            return engine._commands.call(work, PATIENCE_S)

        (before,) = do(lambda: executor.read_pages([PAGE]))
        content = bytes(range(256)) * (len(before) // 256)
        do(lambda: executor.write_pages([PAGE], [content]))

        assert do(lambda: still_finite(executor, known))
        assert do(lambda: executor.read_pages([PAGE])) == [content]
        damage(engine, "norm_1")
        assert not do(lambda: still_finite(executor, known))


def test_a_model_of_numbers_starts(checkpoint: Path) -> None:
    """And has spent no step on it that counts, nor a page."""
    with running_engine(checkpoint, ONE) as (engine, answers):
        assert engine.load().step == 0
        assert engine.load().pages_used == 0
        engine.add_request(request("r", [5, 6]))
        answers.wait_for("r")
