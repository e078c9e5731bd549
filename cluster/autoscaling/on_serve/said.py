"""What replicas record for Serve's autoscaling, and what a snapshot is made of.

Workers record the fields of their load by name (`WorkerReplica.record_autoscaling_stats`), routers
what has come for each model and what they hold back (`RouterReplica.record_autoscaling_stats`).
"""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from raylax.cluster.autoscaling.counters import Counters
from raylax.proto.vocabulary import StepTime
from raylax.router.fleet.estimate import NOMINAL

Said = Mapping[str, Mapping[str, float]]
"""By who it is: by name."""
OF_WORKERS = ("cached_tokens", "ended", "ended_tokens")
"""Counters of their load."""
CAME = ("arrived", "prompt_tokens")
"""Counters of routers, by model."""
HELD = ("held", "held_tokens")
"""What routers hold back, by model."""
NOTHING_LEARNED = StepTime(*NOMINAL)


def latest(recorded: Mapping[str, Mapping[Any, Any]] | None) -> dict[str, dict[str, float]]:
    """`recorded`: by name and replica a series of values, as Serve keeps them."""
    said: dict[str, dict[str, float]] = {}
    for name, series_of in (recorded or {}).items():
        for replica, series in series_of.items():
            if series:
                said.setdefault(str(replica), {})[name] = float(series[-1].value)
    return said


def of_model(said: Said, names: Iterable[str], model: str) -> dict[str, dict[str, float]]:
    """What routers say of one model, by the names without it."""
    return {
        who: {name: values[key] for name in names if (key := f"{name}/{model}") in values}
        for who, values in said.items()
    }


def counted(counters: Counters, said: Said, names: Iterable[str]) -> dict[str, float]:
    """How much each of these counters grew, over all who say something."""
    grown = counters.since(
        {who: {name: values.get(name, 0.0) for name in names} for who, values in said.items()}
    )
    return {name: grown.get(name, 0.0) for name in names}


def total(said: Said, name: str) -> float:
    """The sum of a gauge."""
    return sum(values.get(name, 0.0) for values in said.values())


def mean_pace(said: Said) -> StepTime | None:
    """Of those workers that have learned one; None if none has."""
    learned = [values for values in said.values() if values.get("pace_b", 0.0) > 0]
    if not learned:
        return None
    return StepTime(*(fmean(values[f"pace_{name}"] for values in learned) for name in "abcd"))


def mean_of(said: Said, name: str) -> float | None:
    """Of a gauge, over those that have it; None if none has."""
    values = [one[name] for one in said.values() if one.get(name)]
    return fmean(values) if values else None
