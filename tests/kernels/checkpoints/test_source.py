"""Model names. Nothing is downloaded: the hub is told to be offline."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from raylax.kernels.checkpoints.source import resolve_model
from raylax.kernels.errors import CheckpointError


def test_a_directory_is_taken_as_it_is() -> None:
    """Whether it is a checkpoint shows when it is read."""
    assert resolve_model("some/model") == Path("some/model")
    assert resolve_model("~/model") == Path.home() / "model"


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
