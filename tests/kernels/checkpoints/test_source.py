"""Model names. Nothing is downloaded: the hub is told to be offline."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from raylax.kernels.checkpoints.source import resolve_model
from raylax.kernels.errors import CheckpointError


def test_a_directory_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is a checkpoint shows when it is read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some" / "model").mkdir(parents=True)

    assert resolve_model("some/model") == Path("some/model")
    assert resolve_model("~/some") == tmp_path / "some"


@pytest.mark.parametrize(
    "model, said",
    [
        ("org/name", "org/name: no such directory; .* write HF://org/name"),
        ("./org/name", "no such directory; give a checkpoint's, or HF://org/name"),
        ("/no/such/place", "no such directory; give a checkpoint's, or HF://org/name"),
        ("model-Q4_K_M.gguf", "model-Q4_K_M.gguf: no such file; give a checkpoint's"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: embedded null byte"),
        ("", "no such directory"),
    ],
)
def test_what_is_no_directory_is_answered_with_what_to_give(model: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        resolve_model(model)


def test_a_gguf_file_is_a_model_and_no_other_file(tmp_path: Path) -> None:
    for name in ("model.gguf", "model.safetensors"):
        (tmp_path / name).touch()

    assert resolve_model(str(tmp_path / "model.gguf")) == tmp_path / "model.gguf"
    with pytest.raises(CheckpointError, match="is a file; give a GGUF file, or a checkpoint's dir"):
        resolve_model(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    "model", ["HF://org/name", "hf://org/name", "https://huggingface.co/org/name/"]
)
def test_a_name_on_the_hub_that_cannot_be_had(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(CheckpointError, match=f"{model}: cannot be downloaded: "):
        resolve_model(model)


def test_a_name_on_the_hub_that_was_had_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hugging Face's own cache is used, without the network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--org--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    refs = tmp_path / "models--org--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")

    assert resolve_model("HF://org/name") == snapshot
