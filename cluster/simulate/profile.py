"""What a simulated engine is like: the pace of its steps and its limits.

`gpu` and `cpu` are assumed: an 8B model on one GPU, and on the cores of a server. A measured one
comes from a worker itself, which learns its pace from real steps: in a file, or from a cluster.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from raylax.cluster.address import ask, understood
from raylax.cluster.errors import UserError
from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.decision.targets import Targets


@dataclass(frozen=True, slots=True)
class Profile:
    """What its steps take and how much it holds; a file of JSON has the same names. `a`, `b`, `c`
    and `d` are those of `raylax.proto.vocabulary.StepTime`."""

    a: float
    b: float
    c: float
    d: float
    budget: int
    """Tokens of a step at most."""
    kv: int
    """Tokens that fit into its pages."""
    sequences: int
    """Sequences that run at once."""
    itl_s: float | None = None
    """Seconds that a step with decodes may take, which are all of the class normal; null: by what
    they take; 0: any."""

    def __post_init__(self) -> None:
        if min(self.a, self.c, self.d) < 0 or self.b <= 0:
            raise ValueError(f"seconds must not be negative, nor b zero, found {self}")
        if not 1 <= self.sequences <= self.budget:
            raise ValueError(f"budget must be at least sequences, found {self}")
        if self.itl_s is not None and not 0 <= self.itl_s < math.inf:
            raise ValueError(f"itl_s must be seconds, 0 or more, or null, found {self}")

    @property
    def step_time(self) -> StepTime:
        """What its steps take, as policies are told."""
        return StepTime(self.a, self.b, self.c, self.d)

    @classmethod
    def of_worker(cls, worker: dict[str, Any]) -> Self:
        """A worker's, by its entry of /cluster. Raises ValueError while it has no pace."""
        load, config = worker["load"], worker["engine_config"]
        if not load["pace"]["b"]:
            raise ValueError(f"{worker['worker_id']} has not learned its pace: send it requests")
        kv = load["pages_total"] * config["kv_cache_page_size"]
        return cls(
            **load["pace"],
            budget=load["step_tokens"],
            kv=kv,
            sequences=config["max_num_sequence"],
            itl_s=Targets.of(config["target_itl_ms"]).normal,
        )

    def as_json(self) -> str:
        """What `profile_named` reads from a file."""
        return json.dumps(asdict(self))


ASSUMED = {
    "gpu": Profile(0.008, 50e-6, 40e-6, 50e-9, budget=2048, kv=400_000, sequences=256),
    "cpu": Profile(0.030, 3e-3, 6e-3, 0.4e-6, budget=256, kv=160_000, sequences=64),
}


def profile_named(name: str) -> Profile:
    """`gpu`, `cpu`, a file, or where a cluster serves. Raises UserError."""
    if name in ASSUMED:
        return ASSUMED[name]
    try:
        if name.startswith(("http://", "https://")):
            return from_cluster(name)
        return Profile(**json.loads(Path(name).read_text()))
    except OSError as error:
        known = ", ".join(ASSUMED)
        raise UserError(
            f"profile {name}: {error.strerror}; give {known}, a file of JSON, or a cluster's URL"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"profile {name}: {error}") from None


def from_cluster(url: str) -> Profile:
    """The profile of a cluster's first worker. Raises UserError, and ValueError without one."""
    known = ask(url, "GET", "/cluster")
    with understood(url):
        workers = list(known["workers"])
    if not workers:
        raise ValueError("no worker serves there")
    return Profile.of_worker(workers[0])
