"""The configuration of a cluster: one file, or flags, checked once."""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from raylax.cluster.errors import UserError
from raylax.router.policies import POLICIES
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


class Autoscaling(Section):
    """Between `replicas` and `max_replicas`, by KV use and queue."""

    high_kv_usage: float = Field(0.8, gt=0, le=1)
    low_kv_usage: float = Field(0.3, ge=0, lt=1)
    high_waiting: float = Field(4.0, gt=0)
    """Requests that wait, per worker."""
    upscale_delay_s: float = Field(2.0, ge=0)
    downscale_delay_s: float = Field(60.0, ge=0)


class ClusterConfig(Section):
    """raylax.yaml. Every top-level key but the sections is also a flag of `raylax serve`."""

    model: str = DEMO_MODEL
    """A checkpoint directory, HF://org/name, or "demo"."""
    served_model_name: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    grpc_port: int = Field(9000, ge=1, le=65535)
    replicas: int = Field(1, ge=1)
    max_replicas: int | None = Field(None, ge=1)
    tensor_parallel_shards: int = Field(1, ge=1)
    """Ranks that share each layer."""
    pipeline_parallel_stages: int = Field(1, ge=1)
    """Ranks that share the layers among them."""
    placement: Literal["host", "cluster"] = "host"
    """Whether the ranks of a worker lie on one host, or may lie on several."""
    policy: str = "least-load"
    device: str = "auto"
    quantization: str = "auto"
    mode: Literal["local", "interactive", "server"] = "server"
    max_num_sequence: int | None = Field(None, ge=1)
    enable_debug: bool = False
    engine: dict[str, Any] = Field(default_factory=dict)
    """Fields of the engine's own configuration, but for those that are keys of this file."""
    limits: Limits = Limits()
    autoscaling: Autoscaling = Autoscaling()

    @model_validator(mode="after")
    def _agrees(self) -> "ClusterConfig":
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas must be at least replicas, found {self.max_replicas} and "
                f"{self.replicas}"
            )
        if self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port must differ, found {self.port} twice")
        if self.policy not in POLICIES:
            known = ", ".join(sorted(POLICIES))
            raise ValueError(f"policy must be one of {known}, found {self.policy}")
        for name in sorted(self.engine.keys() & ClusterConfig.model_fields.keys()):
            raise ValueError(f"engine.{name}: write it as {name}, at the top of the file")
        self.engine_config(1)
        return self

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
        return f"http://{self.reachable_host}:{self.port}"

    def engine_config(self, threads: int) -> EngineConfig:
        """What each worker's engine is told. Raises ConfigError, a ValueError."""
        given = {name: value for name, value in self.engine.items() if value is not None}
        shared = {"threads": threads, "pin_threads": True}
        shared_by = ("quantization", "mode", "tensor_parallel_shards", "pipeline_parallel_stages")
        own: dict[str, Any] = {name: getattr(self, name) for name in shared_by}
        if self.max_num_sequence is not None:
            own["max_num_sequence"] = self.max_num_sequence
        return EngineConfig.from_json(json.dumps({**shared, **given, **own}))


SECTIONS: dict[str, type[Section]] = {"limits": Limits, "autoscaling": Autoscaling}


def read_config(file: Path | None, flags: dict[str, Any]) -> ClusterConfig:
    """The file's values, overridden by the flags that were given. Raises UserError."""
    values = read_yaml(file) if file else {}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return ClusterConfig.model_validate({**values, **given})
    except ValidationError as error:
        raise UserError("\n".join(worded(one, file) for one in error.errors())) from None


def read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(values, dict | None):
        raise UserError(f"{file}: must hold keys and values, found {type(values).__name__}")
    return values or {}


def worded(error: Any, file: Path | None) -> str:
    """The key, the rule and the value given; for an unknown key the nearest known one."""
    path = ".".join(str(part) for part in error["loc"])
    where = f"{file}: " if file else ""
    if error["type"] == "extra_forbidden":
        section = SECTIONS.get(str(error["loc"][0]), ClusterConfig)
        known = list(section.model_fields)
        near = get_close_matches(str(error["loc"][-1]), known, 1)
        return f"{where}unknown key {path!r}" + (f"; did you mean {near[0]}?" if near else "")
    message = str(error["msg"]).removeprefix("Value error, ")
    if not path:
        return where + message
    return f"{where}{path}: {message}, found {error['input']!r}"
