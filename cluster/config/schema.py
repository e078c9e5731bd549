"""The configuration of a cluster: one file, or flags, checked once."""

import json
from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from raylax.proto.vocabulary import Priority
from raylax.router.access.keys import Key
from raylax.router.policies import DEFAULT, POLICIES
from raylax.worker.config import EngineConfig

DEMO_MODEL = "demo"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(Section):
    max_body_bytes: int = Field(8 << 20, ge=1024)
    body_timeout_s: float = Field(60.0, gt=0)
    max_inflight: int = Field(2048, ge=1)
    request_timeout_s: float = Field(600.0, gt=0)
    startup_timeout_s: float = Field(600.0, gt=0)
    max_wait_s: float = Field(60.0, gt=0)
    """Expected until its first token: a request that would wait longer gets 429."""
    worker_patience_s: float = Field(30.0, gt=0)
    """How long a request may be without a worker before it fails."""
    worker_silence_s: float = Field(2.0, gt=0)
    """After which a worker that says nothing counts as lost."""
    hedge_share: float = Field(0.0, ge=0, le=1)
    """Of the requests that may get a second worker when their first token is late; 0: none."""
    resume_ttl_s: float = Field(60.0, gt=0)
    """How long an answer may outlive its client at most."""


class Autoscaling(Section):
    """Between `replicas` and `max_replicas`, by KV use and queue."""

    high_kv_usage: float = Field(0.8, gt=0, le=1)
    low_kv_usage: float = Field(0.3, ge=0, lt=1)
    high_waiting: float = Field(4.0, gt=0)
    """Requests that wait, per worker."""
    upscale_delay_s: float = Field(2.0, ge=0)
    downscale_delay_s: float = Field(60.0, ge=0)


Anywhere = Annotated[Path, AfterValidator(Path.absolute)]
"""A file: Ray's processes have working directories of their own."""


class KeyEntry(Section):
    """One API key, of which only the hash is known; `raylax key NAME` makes both."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    admin: bool = False
    priority: Literal["high", "normal", "low"] = "normal"
    tokens_per_minute: int | None = Field(None, ge=1)
    requests_per_minute: int | None = Field(None, ge=1)
    max_concurrent: int | None = Field(None, ge=1)
    share: float = Field(1.0, gt=0, allow_inf_nan=False)

    @property
    def key(self) -> Key:
        return Key(**{**self.model_dump(), "priority": Priority[self.priority.upper()]})


class KeysFile(Section):
    """Keys apart from the rest, for instance in a mounted secret."""

    keys: tuple[KeyEntry, ...]


class ModelEntry(Section):
    """One of several models: what it says holds for it, and else what stands at the top."""

    model: str
    served_model_name: str | None = None
    replicas: int | None = None
    max_replicas: int | None = None
    tensor_parallel_shards: int | None = None
    pipeline_parallel_stages: int | None = None
    placement: Literal["host", "cluster"] | None = None
    policy: str | None = None
    device: str | None = None
    gpus_per_rank: float | None = None
    model_lib: Anywhere | None = None
    quantization: str | None = None
    mode: Literal["local", "interactive", "server"] | None = None
    max_num_sequence: int | None = None
    engine: dict[str, Any] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The name is its own in any case."""
        said = self.model_dump(exclude_none=True)
        return {"served_model_name": self.served_model_name, **said}


class ClusterConfig(Section):
    """raylax.yaml. Every top-level key but sections and lists is also a flag of `raylax serve`."""

    model: str = DEMO_MODEL
    """A checkpoint directory, HF://org/name, or "demo"."""
    served_model_name: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    grpc_port: int = Field(9000, ge=1, le=65535)
    models: tuple[ModelEntry, ...] = ()
    """Several models in one cluster; `model` is then not looked at."""
    routers: int = Field(1, ge=1)
    """Replicas of the router, each with a core's worth of work."""
    replicas: int = Field(1, ge=1)
    max_replicas: int | None = Field(None, ge=1)
    tensor_parallel_shards: int = Field(1, ge=1)
    """Ranks that share each layer."""
    pipeline_parallel_stages: int = Field(1, ge=1)
    """Ranks that share the layers among them."""
    placement: Literal["host", "cluster"] = "host"
    """Whether the ranks of a worker lie on one host, or may lie on several."""
    policy: str = DEFAULT
    device: str = "auto"
    gpus_per_rank: float = Field(1.0, gt=0, le=1)
    """On GPUs: less than one lets several ranks share a GPU and its memory."""
    model_lib: Anywhere | None = None
    """For GPUs: a library that `raylax compile --target` wrote elsewhere."""
    quantization: str = "auto"
    mode: Literal["local", "interactive", "server"] = "server"
    max_num_sequence: int | None = Field(None, ge=1)
    enable_debug: bool = False
    api_keys_file: Anywhere | None = None
    """More `keys`, in a file of their own."""
    tls_cert: Anywhere | None = None
    """Certificates in PEM, ours first; HTTP and gRPC are then encrypted."""
    tls_key: Anywhere | None = None
    cors_origins: tuple[str, ...] = ()
    """Whose pages may ask from a browser; "*": all."""
    keys: tuple[KeyEntry, ...] = ()
    engine: dict[str, Any] = Field(default_factory=dict)
    """Fields of the engine's own configuration, but for those that are keys of this file."""
    limits: Limits = Limits()
    autoscaling: Autoscaling = Autoscaling()
    _all_ranks: int | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _agrees(self) -> "ClusterConfig":
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas must be at least replicas, found {self.max_replicas} and "
                f"{self.replicas}"
            )
        if self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port must differ, found {self.port} twice")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together, found one without the other")
        for field in ("name", "sha256"):
            for entry, count in Counter(getattr(key, field) for key in self.keys).items():
                if count > 1:
                    raise ValueError(f"keys: each needs its own {field}, found {entry} twice")
        if self.policy not in POLICIES:
            known = ", ".join(sorted(POLICIES))
            raise ValueError(f"policy must be one of {known}, found {self.policy}")
        for name in sorted(self.engine.keys() & ClusterConfig.model_fields.keys()):
            raise ValueError(f"engine.{name}: write it as {name}, at the top of the file")
        self.engine_config(1)
        for entry in self.models:
            self._of(entry)
        return self

    @property
    def each(self) -> "tuple[ClusterConfig, ...]":
        """One configuration for each model, all of which share the machines."""
        made = tuple(self._of(entry) for entry in self.models) or (self,)
        for one in made:
            one._all_ranks = sum(other.most_replicas * other.ranks for other in made)
        return made

    def _of(self, entry: ModelEntry) -> "ClusterConfig":
        return ClusterConfig.model_validate({**self.model_dump(exclude={"models"}), **entry.given})

    @property
    def all_ranks(self) -> int:
        """Of all workers that there may be, those of other models included."""
        return self._all_ranks or self.most_replicas * self.ranks

    @property
    def most_replicas(self) -> int:
        return self.max_replicas or self.replicas

    @property
    def ranks(self) -> int:
        """Of each worker."""
        return self.tensor_parallel_shards * self.pipeline_parallel_stages

    @property
    def reachable_host(self) -> str:
        """Where this machine reaches what listens on `host`."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host

    @property
    def url(self) -> str:
        scheme = "https" if self.tls_cert else "http"
        return f"{scheme}://{self.reachable_host}:{self.port}"

    @property
    def open_to_all(self) -> bool:
        """Other machines may ask, and nobody is asked for a key."""
        return not self.keys and not is_loopback(self.host)

    def engine_config(self, threads: int) -> EngineConfig:
        """What each worker's engine is told. Raises ConfigError, a ValueError."""
        given = {name: value for name, value in self.engine.items() if value is not None}
        shared = {"threads": threads, "pin_threads": True}
        shared_by = (
            "quantization", "mode", "tensor_parallel_shards", "pipeline_parallel_stages",
            "gpus_per_rank",
        )  # fmt: skip
        own: dict[str, Any] = {name: getattr(self, name) for name in shared_by}
        if self.model_lib is not None:
            own["model_lib"] = str(self.model_lib)
        if self.max_num_sequence is not None:
            own["max_num_sequence"] = self.max_num_sequence
        return EngineConfig.from_json(json.dumps({**shared, **given, **own}))


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


SECTIONS: dict[str, type[Section]] = {"limits": Limits, "autoscaling": Autoscaling}
PARTS: dict[str, type[Section]] = {**SECTIONS, "keys": KeyEntry, "models": ModelEntry}
"""What stands below a top-level key."""
