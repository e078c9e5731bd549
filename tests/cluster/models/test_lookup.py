"""Names of models become paths before anything starts."""

from pathlib import Path

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.lookup import fetch_models, find_models
from raylax.kernels.sources.events import nobody
from tests.support.checkpoints import write_checkpoint
from tests.support.fake_hub import FakeHub, Heard, Repo


def test_what_was_fetched_is_what_every_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    """Also when the configuration is sent to another one; names stay those that were typed."""
    made = write_checkpoint(tmp_path / "made")
    files = {file.name: file.read_bytes() for file in made.iterdir()}
    entries = [{"model": "org/tiny"}, {"model": "org/tiny", "served_model_name": "mine"},
               {"model": str(checkpoint)}, {"model": "demo"}]  # fmt: skip
    heard = Heard()
    with FakeHub(repos={"org/tiny": Repo(files)}).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        config = ClusterConfig.model_validate({"models": entries, "replicas": 2})
        told = fetch_models(config, heard.audience)
        alone = fetch_models(ClusterConfig(model="org/tiny", port=8123), heard.audience)
    sent = ClusterConfig.model_validate_json(told.model_dump_json())
    found = find_models(sent)

    assert [model.name for model in found] == ["org/tiny", "mine", checkpoint.name, "raylax-demo"]
    assert found[0].checkpoint == found[1].checkpoint
    assert found[0].checkpoint.is_relative_to(tmp_path / "hf")
    assert {model.config.replicas for model in found} == {2}
    assert fetch_models(sent, heard.audience) == sent
    assert (find_models(alone)[0].name, alone.port) == ("org/tiny", 8123)
    assert len(heard.notes) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "smollm2", "device": "cuda"}, "device 'cuda' is not here"),
        ({"model": "no-such-model"}, "no-such-model: no such directory"),
        ({"model": "a\nb/c"}, "no such directory"),
    ],
)
def test_what_cannot_be_found_is_a_line(given: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        fetch_models(ClusterConfig.model_validate(given), nobody())


def test_what_drafts_is_found_too(checkpoint: Path) -> None:
    """A library that is named beside it stays as it is."""
    drafts = [str(checkpoint), [str(checkpoint), "/lib/x"], [str(checkpoint), None]]
    given = {"model": str(checkpoint), "engine": {"additional_models": drafts}}
    told = fetch_models(ClusterConfig.model_validate(given), nobody())

    assert told.engine["additional_models"] == [
        str(checkpoint), (str(checkpoint), "/lib/x"), str(checkpoint)
    ]  # fmt: skip
