"""What is found out of a machine before it starts anything of a cluster."""

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from raylax.cluster.application.versions import model_id
from raylax.cluster.config.reading import read_config
from raylax.cluster.errors import UserError
from raylax.cluster.joining.checks import check_fits
from raylax.cluster.membership.lines import Lines
from raylax.cluster.membership.said import Served, Welcome, own_versions, told_of
from raylax.cluster.membership.visit import Visit
from raylax.cluster.models.lookup import find_models
from raylax.cluster.models.memory import plan_engines
from raylax.worker.config import EngineConfig
from tests.support.checkpoints import write_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


def welcome(checkpoint: Path, **more: Any) -> Welcome:
    """What the first machine would say of this model, were it this one."""
    given = {"model": str(checkpoint), "cluster": "10.0.0.2", "cluster_secret": "secret", **more}
    config = read_config(None, given)
    models = find_models(config)
    engines = zip(models, plan_engines(models), strict=True)
    return Welcome(
        versions=own_versions(),
        time_s=0.0,
        gcs="10.0.0.2:1",
        config=told_of(config, models),
        models=tuple(
            Served(
                name=model.name,
                checkpoint=str(model.checkpoint),
                model_id=model_id(model.checkpoint, model.config),
                engine=engine.asjson(),
            )
            for model, engine in engines
        ),
        cpus=1,
        places={},
    )


def check(said: Welcome, ahead_s: float = 0.0) -> None:
    with socket.socket() as connection:
        check_fits(Visit(Lines(connection), said, ahead_s, "10.0.0.3"))


def refusal(said: Welcome, ahead_s: float = 0.0) -> str:
    with pytest.raises(UserError) as caught:
        check(said, ahead_s)
    return str(caught.value)


def with_engine(said: Welcome, **more: Any) -> Welcome:
    (served,) = said.models
    engine = EngineConfig.from_json(served.engine).complete(**more)
    return said.model_copy(
        update={"models": (served.model_copy(update={"engine": engine.asjson()}),)}
    )


def test_a_machine_that_is_the_same_fits(checkpoint: Path) -> None:
    check(welcome(checkpoint))


def test_several_models_fit(checkpoint: Path) -> None:
    """Each by its own entry, whatever the name by which the first machine found it."""
    entries = [{"model": str(checkpoint), "served_model_name": name} for name in ("a", "b")]
    check(welcome(checkpoint, models=entries))


def test_versions_come_first(checkpoint: Path) -> None:
    """What another version says of all else need not be right."""
    other = welcome(checkpoint).model_copy(update={"versions": {**own_versions(), "raylax": "9"}})

    assert "the same versions" in refusal(other, ahead_s=100)


def test_a_clock_that_is_off(checkpoint: Path) -> None:
    assert "this one is 100.0 s ahead" in refusal(welcome(checkpoint), ahead_s=100)


def test_a_model_that_is_not_here(checkpoint: Path) -> None:
    said = welcome(checkpoint)
    shutil.rmtree(checkpoint)

    assert refusal(said) == (
        f"model: the first machine has it at {checkpoint}, and this one has nothing there; bring "
        "it to the same path, or share the directory"
    )


def test_another_model_at_its_path(checkpoint: Path) -> None:
    said = welcome(checkpoint)
    write_checkpoint(checkpoint, max_position_embeddings=64)

    assert "is another model than there" in refusal(said)


def test_a_model_that_cannot_be_read(checkpoint: Path) -> None:
    said = welcome(checkpoint)
    (checkpoint / "config.json").write_text("{")

    assert str(checkpoint) in refusal(said)


def test_a_machine_with_fewer_cores(checkpoint: Path) -> None:
    """A worker alone takes those that there are; several have been told their parts."""
    has = len(os.sched_getaffinity(0))
    check(welcome(checkpoint))

    assert refusal(with_engine(welcome(checkpoint), threads=has + 1)) == (
        f"a worker of each model takes {has + 1} cores together, and this machine has {has}; "
        "--set engine.threads at `raylax serve` says how many each rank takes"
    )


def test_a_machine_with_less_memory(checkpoint: Path) -> None:
    assert refusal(with_engine(welcome(checkpoint), kv_cache_bytes=1 << 50)).startswith(
        "kv_cache_bytes must be at most "
    )


def test_what_concerns_the_first_machine_alone_is_told_to_nobody(checkpoint: Path) -> None:
    """Keys above all."""
    key = {"name": "alice", "sha256": "0123456789" * 6 + "abcd"}
    said = welcome(checkpoint, keys=[key], host="10.0.0.2", port=81)

    assert "alice" not in said.model_dump_json()
    assert {"host", "port", "keys"} & said.config.keys() == set()
