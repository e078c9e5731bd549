"""Heads for labels in GGUF files, as llama.cpp's converter writes those of rerankers."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.errors import CheckpointError
from tests.support.batches import OPTIONS, Piece, run
from tests.support.gguf_files import write_gguf

JUDGES = {"qwen2.pooling_type": 4, "qwen2.classifier.output_labels": ["yes", "no"]}
IDS = list(range(3, 60))


def head(rows: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((rows, 64)).astype(np.float32)


def elsewhere(checkpoint: Path, rows: np.ndarray) -> Path:
    """The checkpoint that the file was made of, with a head of these rows."""
    file = checkpoint / "config.json"
    config = json.loads(file.read_text()) | {"architectures": ["Qwen2ForSequenceClassification"]}
    config |= {"id2label": {str(at): f"LABEL_{at}" for at in range(len(rows))}}
    file.write_text(json.dumps(config))
    weights = load_file(checkpoint / "model.safetensors")
    weights.pop("lm_head.weight", None)
    save_file({**weights, "score.weight": rows}, checkpoint / "model.safetensors")
    return checkpoint


def logits(path: Path, store: Path) -> np.ndarray:
    return run(load_model(path, OPTIONS, 64, store), Piece(IDS, 0, [7, 3, 11, 5]))


def test_yes_and_no_are_one_label(tmp_path: Path, store: Path) -> None:
    """Whose logit is how much larger that of yes is; its words are told to who shows it pairs."""
    rows = head(2)
    origin = write_gguf(
        tmp_path, "qwen2-linear-rope", changed=JUDGES, more={"cls.output.weight": rows}
    )
    made = open_checkpoint(tmp_path / "model.gguf")

    assert (made.spec.classifies, made.spec.vocab) == (True, 1)
    assert made.config["id2label"] == {"0": "yes"}
    assert made.config["classifier_from_token"] == ["no", "yes"]
    want = logits(elsewhere(origin, rows[:1] - rows[1:]), store)
    assert np.array_equal(logits(tmp_path / "model.gguf", store), want)


def test_other_labels_have_a_logit_each(tmp_path: Path, store: Path) -> None:
    rows = head(3)
    named = {"qwen2.classifier.output_labels": ["calm", "glad", "sad"]}
    origin = write_gguf(
        tmp_path, "qwen2-linear-rope", changed=named, more={"cls.output.weight": rows}
    )
    made = open_checkpoint(tmp_path / "model.gguf")

    assert made.config["id2label"] == {"0": "calm", "1": "glad", "2": "sad"}
    want = logits(elsewhere(origin, rows), store)
    assert np.array_equal(logits(tmp_path / "model.gguf", store), want)


def test_a_reranker_that_generates_may_have_no_head(tmp_path: Path) -> None:
    """It says yes or no by its logits of tokens."""
    write_gguf(tmp_path, "qwen2-linear-rope", changed=JUDGES)
    made = open_checkpoint(tmp_path / "model.gguf")

    assert not made.spec.classifies
    assert made.config["classifier_from_token"] == ["no", "yes"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cls.output.bias": head(1)[0, :2]}, "cls.output.bias beside cls.output.weight"),
        ({"cls.weight": head(64)}, "cls.weight beside cls.output.weight"),
    ],
)
def test_what_encoders_have_besides_is_refused(
    more: dict[str, np.ndarray], said: str, tmp_path: Path
) -> None:
    write_gguf(tmp_path, "qwen2-linear-rope", more={"cls.output.weight": head(2), **more})

    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(tmp_path / "model.gguf")


def test_an_encoder_is_refused_by_name(tmp_path: Path) -> None:
    write_gguf(tmp_path, changed={"general.architecture": "jina-bert-v2"})

    with pytest.raises(CheckpointError, match="'jina-bert-v2' is not supported; supported are"):
        open_checkpoint(tmp_path / "model.gguf")
