"""The layer that MiMo brings, against torch (tests/goldens/heads.py)."""

from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.errors import CheckpointError
from raylax.kernels.heads.eagle import load_head
from raylax.kernels.model import Floats
from raylax.kernels.options import ModelOptions
from tests.support.batches import Piece, batch_of, run
from tests.support.checkpoints import write_checkpoint
from tests.support.draft_heads import MIMO, Head, inputs_of, write_mimo
from tests.support.paths import GOLDENS
from tests.support.shards import bits

OPTIONS = ModelOptions("q0f32", "auto", "cpu", None, 2, 128, 16, 128)
PAGES = [7, 3, 11]


def error(got: Floats, want: Floats) -> float:
    """Largest error as a share of the scale."""
    return float(np.abs(got - want).max() / np.abs(want).max())


def test_a_draft_is_torchs(tmp_path: Path) -> None:
    """Features, and token by token logits and what the next step goes on from."""
    with np.load(GOLDENS / "heads.npz") as file:
        want = {name: file[f"mimo/{name}"] for name in ("features", "logits", "hidden", "drawn")}
    path = write_mimo(tmp_path)
    load_model(path, OPTIONS, 8)  # whose packed weights are others, of the same files
    head = load_head(path, path, OPTIONS, 32)
    ids, tapped = inputs_of(Head("llama", 1, (2,)), len(want["features"]))

    features = head.features(tapped)
    found = head.step(batch_of([Piece(ids, 0, PAGES)]), features)

    assert head.taps == (2,)
    assert error(features, want["features"]) < 1e-5
    for at, drawn in enumerate(want["drawn"].tolist()):
        assert found.drawn.tolist() == [drawn]
        assert error(found.logits[0], want["logits"][at]) < 1e-4
        assert error(found.hidden[0], want["hidden"][at]) < 1e-4
        piece = Piece([drawn], len(ids) + at, PAGES)
        found = head.step(batch_of([piece]), found.hidden.copy())


def test_the_model_does_without_its_layer(tmp_path: Path) -> None:
    """It is Qwen2, whether the layer is in its files or not."""
    prompt = Piece([5, 6, 7, 8, 9], 0, [0])
    qwen2 = write_checkpoint(tmp_path / "a", **{**MIMO, "architectures": ["Qwen2ForCausalLM"]})
    paths = qwen2, write_mimo(tmp_path / "b", layer=False), write_mimo(tmp_path / "c")

    first, *others = (run(load_model(path, OPTIONS, 8), prompt) for path in paths)

    for one in others:
        assert np.array_equal(bits(one), bits(first))


def test_a_model_without_such_a_layer_is_named(tmp_path: Path) -> None:
    """Of a family that has none, or of files that lack it."""
    llama = write_checkpoint(tmp_path / "llama")
    mimo = write_mimo(tmp_path / "mimo", layer=False)

    with pytest.raises(CheckpointError, match="LlamaForCausalLM brings no layer that drafts, as"):
        load_head(llama, llama, OPTIONS, 8)
    with pytest.raises(CheckpointError, match=r"drafts \(model.mtp_layers.0.\*\) is missing"):
        load_head(mimo, mimo, OPTIONS, 8)
    assert open_checkpoint(mimo).spec.architecture == "MiMoForCausalLM"
