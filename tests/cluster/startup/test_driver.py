"""Changes that name a model of a hub: fetched by the driver, while what was before is served."""

import io
import json
from pathlib import Path

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.startup import driver
from raylax.cluster.startup.asked import Asked
from raylax.cluster.startup.driver import Events, apply
from tests.support.checkpoints import write_checkpoint
from tests.support.fake_hub import FakeHub, Repo


def bob_asks(model: str) -> Asked:
    return Asked(config=ClusterConfig(model=model), by="bob")


def test_a_change_that_names_a_model_of_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deployed as a path; one that cannot be had is refused in a line."""
    deployed: list[tuple[ClusterConfig, str]] = []
    monkeypatch.setattr(driver, "deploy", lambda *told: deployed.append(told[:2]))
    monkeypatch.setattr(driver, "build", lambda config, events: None)
    files = {file.name: file.read_bytes() for file in write_checkpoint(tmp_path / "m").iterdir()}
    before, out = Asked(config=ClusterConfig(), by="ann"), io.StringIO()
    with FakeHub(repos={"org/tiny": Repo(files)}).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        served = apply(before, bob_asks("org/tiny"), Events(out))
        same = apply(served, bob_asks("org/none"), Events(out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]

    assert Path(served.config.model).is_relative_to(tmp_path / "hf")
    assert served.config.served_model_name == "org/tiny"
    assert [config for config, _ in deployed] == [served.config, served.config]
    assert (deployed[0][1], served.by) == ("bob", "bob")
    assert deployed[1][1].startswith("raylax serve (a change is taken back: org/none: there is no")
    assert same is served
    assert [event for event in events if "applied" in event] == [{"applied": True}]
    assert events[-1]["refused"].startswith("org/none: there is no such directory here, and no")
    assert any(event["step"][1].startswith("downloading") for event in events if "step" in event)
