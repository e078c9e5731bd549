"""Models of ModelScope, on a server that speaks its API."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.download import Unreachable
from raylax.kernels.sources.events import Events
from raylax.kernels.sources.modelscope import ModelScope
from raylax.kernels.sources.policy import Policy
from raylax.kernels.sources.source import Repository, source_of
from tests.support.fake_hub import FakeHub, Repo

Had = Callable[..., Path]


@pytest.fixture
def had(hub: FakeHub) -> Had:
    def fetch(model: str, policy: Policy = Policy.ON, out: io.StringIO | None = None) -> Path:
        asked = source_of(model, lambda path: False)
        assert isinstance(asked, Repository)
        return ModelScope(asked, policy, Events(out or io.StringIO())).fetch()

    return fetch


def test_a_checkpoint_and_nothing_beside_it(
    hub: FakeHub, llama: dict[str, bytes], had: Had
) -> None:
    """What is here is not downloaded again, what has changed is."""
    hub.repos["org/tiny"] = Repo(dict(llama))
    place = had("ms://org/tiny", out=(told := io.StringIO()))
    assert open_checkpoint(place).spec.hidden == 64
    assert "from " + hub.url in told.getvalue()
    assert not any("pytorch_model.bin" in path for _, path, _ in hub.asked)

    hub.asked.clear()
    hub.repos["org/tiny"].files["generation_config.json"] = b'{"top_k": 2}'
    assert had("ms://org/tiny") == place
    assert [path for _, path, _ in hub.asked if "FilePath" in path] == [
        "/api/v1/models/org/tiny/repo?Revision=master&FilePath=generation_config.json"
    ]
    assert (place / "generation_config.json").read_bytes() == b'{"top_k": 2}'


def test_a_gguf_of_a_revision(hub: FakeHub, ggufs: dict[str, bytes], had: Had) -> None:
    hub.repos["org/tiny"] = Repo({}, {"v1": ggufs})
    place = had("https://modelscope.cn/models/org/tiny@v1:Q8_0")

    assert place.name == "Tiny-Q8_0.gguf"
    assert open_checkpoint(place).spec.hidden == 64


def test_a_connection_that_breaks(hub: FakeHub, ggufs: dict[str, bytes], had: Had) -> None:
    hub.repos["org/tiny"] = Repo(ggufs)
    hub.cuts["Tiny-F16.gguf"] = [30_000]

    assert open_checkpoint(had("ms://org/tiny:F16")).spec.hidden == 64
    assert [asked for *_, asked in hub.asked if asked] == ["bytes=30000-"]


def test_what_is_wrong(
    hub: FakeHub, llama: dict[str, bytes], had: Had, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line each; what is here is taken where nobody answers."""
    hub.repos["org/tiny"] = Repo(llama)
    with pytest.raises(CheckpointError, match="org/none: .* has no such model of revision master"):
        had("ms://org/none")
    with pytest.raises(CheckpointError, match="has no such model of revision v9"):
        had("ms://org/tiny@v9")
    with pytest.raises(Unreachable, match="POLICY is READONLY, and nothing of it is in"):
        had("ms://org/tiny", Policy.READONLY)
    hub.lies["config.json"] = b"{}"
    with pytest.raises(CheckpointError, match="config.json: should have"):
        had("ms://org/tiny")
    hub.lies.clear()
    place = had("ms://org/tiny")
    hub.failing = 500

    assert had("ms://org/tiny") == place
    with pytest.raises(Unreachable, match="answered 500, and nothing of it is in"):
        had("ms://org/other")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="http://127.0.0.1:9 cannot be reached"):
        had("ms://org/other")
