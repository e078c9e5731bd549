"""The sections of the file that are small enough to stand by themselves."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from raylax.cluster.autoscaling.schedule import check_cron, check_zone
from raylax.proto.ranges import TENANT_SHARE
from raylax.proto.vocabulary import Priority
from raylax.router.access.keys import Key
from raylax.router.config import RouterLimits

Anywhere = Annotated[Path, AfterValidator(Path.absolute)]
"""A file: Ray's processes have working directories of their own."""


def a_library(value: str) -> str:
    """What a model is run by, wherever it is looked for."""
    return value if value.startswith("mock:") else str(Path(value).absolute())


Library = Annotated[str, AfterValidator(a_library)]


def a_host(name: str) -> str:
    """Raises ValueError for what no URL has as its host."""
    if name == "*" or HOST_NAME.fullmatch(name):
        return name
    raise ValueError(f"must be a name or an address, without scheme and port, found {name!r}")


HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,}\]?")
HostName = Annotated[str, AfterValidator(a_host)]


class Section(BaseModel):
    """Keys and values that do not change. The docstring below a field is its description: in the
    help of its flag, and in docs/configuration.md."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Limits(RouterLimits, Section):
    """What a cluster bounds: a router's limits, and how long a start may take."""

    startup_timeout_s: float = Field(600.0, gt=0)
    """Seconds for the first worker to become ready."""

    @property
    def of_router(self) -> RouterLimits:
        """Those that routers are told: when another one changes, they go on."""
        return RouterLimits(**self.model_dump(exclude={"startup_timeout_s"}))


class Autoscaling(Section):
    """How workers come and go, between `replicas` and `max_replicas` of each model."""

    dry_run: bool = False
    """Decide, say so in `raylax explain --scaling`, and do nothing."""
    idle_s: float = Field(300.0, ge=1)
    """Without a request, until a model has only its `replicas`, which may be none."""
    pool: float | None = Field(None, gt=0)
    """What the workers of all models may take together, in the unit of `scaling_cost`; null: no
    bound of ours."""
    timezone: Annotated[str, AfterValidator(check_zone)] = "UTC"
    """Of the times in `schedule`, as Europe/Berlin."""


class ScheduledLeast(Section):
    """Workers at least from a time on, until another entry begins."""

    cron: Annotated[str, AfterValidator(check_cron)]
    """When it begins: minute, hour, day of the month, month, day of the week."""
    replicas: int = Field(ge=0)
    """Workers at least from then on."""


class KeyEntry(Section):
    """One API key, of which only the hash is known; `raylax key NAME` makes both."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Who has it: letters, digits and . _ -"""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """The hash of the key, 64 hex digits."""
    admin: bool = False
    """May also ask for /metrics, /cluster and /debug, which tell of all tenants, and for drains."""
    priority: Literal["high", "normal", "low"] = "normal"
    """The highest class that it may ask for."""
    tokens_per_minute: int | None = Field(None, ge=1)
    """Tokens of prompts and answers together. What an answer may have at most (`max_tokens`) is set
    aside when its call begins, and what it did not take is given back; null: no limit."""
    requests_per_minute: int | None = Field(None, ge=1)
    """Requests that may begin in a minute: one for each sequence (prompts × `n`) of a call, and one
    for whatever else is asked; null: no limit."""
    max_concurrent: int | None = Field(None, ge=1)
    """Sequences (prompts × `n`) at once, and texts that are tokenised; null: no limit."""
    share: float = Field(1.0, ge=TENANT_SHARE.least, le=TENANT_SHARE.most)
    """Part of a full cluster, compared with the shares of other keys."""

    @property
    def key(self) -> Key:
        """The key as a router knows it."""
        return Key(**{**self.model_dump(), "priority": Priority[self.priority.upper()]})


class KeysFile(Section):
    """Keys apart from the rest, for instance in a mounted secret."""

    keys: tuple[KeyEntry, ...]
