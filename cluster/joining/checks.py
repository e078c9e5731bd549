"""Whether this machine fits into a cluster, found out before anything is started."""

from pathlib import Path
from typing import NamedTuple

from raylax.cluster.application.versions import model_id
from raylax.cluster.config.reading import read_config
from raylax.cluster.errors import UserError
from raylax.cluster.membership.fit import wrong_clock, wrong_model, wrong_versions
from raylax.cluster.membership.said import Served, Welcome, own_versions
from raylax.cluster.membership.visit import Visit
from raylax.cluster.models.checks import check_models
from raylax.cluster.models.lookup import ResolvedModel, find_models
from raylax.cluster.models.memory import check_engines
from raylax.worker.config import EngineConfig
from raylax.worker.hardware.cores import usable_cores


class Part(NamedTuple):
    """A model, and what its engines are told."""

    model: ResolvedModel
    engine: EngineConfig


def check_fits(visited: Visit) -> None:
    """Raises UserError with the first thing that does not fit."""
    welcome = visited.welcome
    for wrong in wrong_versions(own_versions(), welcome.versions):
        raise UserError(wrong)
    for wrong in wrong_clock(visited.ahead_s):
        raise UserError(wrong)
    for served in welcome.models:
        check_there(served)
    parts = parts_of(welcome)
    for (model, _), served in zip(parts, welcome.models, strict=True):
        for wrong in wrong_model(served, model_id(model.checkpoint, model.config)):
            raise UserError(wrong)
    check_models([part.model for part in parts])
    check_cores(parts)
    check_engines(*zip(*parts, strict=True))


def parts_of(welcome: Welcome) -> list[Part]:
    """Each model as it is here. Raises UserError."""
    models = find_models(read_config(None, welcome.config))
    engines = (EngineConfig.from_json(served.engine) for served in welcome.models)
    return [Part(*part) for part in zip(models, engines, strict=True)]


def check_there(served: Served) -> None:
    """Whether something lies where the model does on the first machine. Raises UserError."""
    try:
        there = Path(served.checkpoint).exists()
    except OSError:
        there = False
    if not there:
        raise UserError(
            f"{served.name}: the first machine has it at {served.checkpoint}, and this one has "
            "nothing there; bring it to the same path, or share the directory"
        )


def check_cores(parts: list[Part]) -> None:
    """Raises UserError where workers have more threads than this machine has cores."""
    threads = sum((engine.threads or 0) * model.config.ranks for model, engine in parts)
    if threads > max(len(parts), cores := usable_cores()):
        raise UserError(
            f"a worker of each model takes {threads} cores together, and this machine has {cores}; "
            "--set engine.threads at `raylax serve` says how many each rank takes"
        )
