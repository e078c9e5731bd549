"""Changes that name a model of a hub: fetched by the driver, while what was before is served."""

import io
import json
from pathlib import Path

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.startup import driver
from raylax.cluster.startup.driver import Events, apply
from tests.support.checkpoints import write_checkpoint
from tests.support.fake_hub import FakeHub, Repo


def test_a_change_that_names_a_model_of_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deployed as a path; one that cannot be had is refused in a line."""
    deployed: list[ClusterConfig] = []
    monkeypatch.setattr(driver, "deploy", deployed.append)
    monkeypatch.setattr(driver, "build", lambda config, events: None)
    files = {file.name: file.read_bytes() for file in write_checkpoint(tmp_path / "m").iterdir()}
    before, out = ClusterConfig(), io.StringIO()
    with FakeHub(repos={"org/tiny": Repo(files)}).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        served = apply(before, ClusterConfig(model="org/tiny"), Events(out))
        same = apply(served, ClusterConfig(model="org/none"), Events(out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]

    assert Path(served.model).is_relative_to(tmp_path / "hf")
    assert served.served_model_name == "org/tiny"
    assert deployed == [served, served]
    assert same is served
    assert [event for event in events if "applied" in event] == [{"applied": True}]
    assert events[-1]["refused"].startswith("org/none: there is no such directory here, and no")
    assert any(event["step"][1].startswith("downloading") for event in events if "step" in event)
