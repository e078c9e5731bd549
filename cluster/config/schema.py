"""The configuration of a cluster: every key of its file, and what must agree."""

from collections import Counter
from pathlib import Path

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from raylax.cluster.config.machines import MachinePlace, Place, place_of
from raylax.cluster.config.models import ModelEntry, ModelSettings
from raylax.cluster.config.sections import (
    Anywhere,
    Autoscaling,
    HostName,
    KeyEntry,
    Limits,
    ScheduledLeast,
    Section,
)
from raylax.proto.addresses import address_of, bare_host
from raylax.router.access.browser_guard import is_loopback

EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""What means every address of a machine, and the one of them that is its own."""
VALUE_ERROR = "Value error, "
"""How pydantic begins what a check of ours says."""


class ClusterConfig(ModelSettings):
    """raylax.yaml. Every top-level key but sections and lists is also a flag of `raylax serve`."""

    host: str = "127.0.0.1"
    """Address to serve on; 0.0.0.0, or ::, serves other machines, too: have keys then."""
    port: int = Field(8000, ge=1, le=65535)
    """HTTP port."""
    grpc_port: int = Field(9000, ge=1, le=65535)
    """gRPC port."""
    cluster: MachinePlace | None = None
    """This machine's address, as 10.0.0.2 or 10.0.0.2:7000, at which others join by `raylax join`;
    null: nobody does."""
    cluster_secret: Anywhere | None = None
    """The file with the secret by which machines join, of mode 0600; a new one if none is
    there."""
    models: tuple[ModelEntry, ...] = ()
    """Several models in one cluster; `model` is then not looked at."""
    routers: int | None = Field(None, ge=1)
    """Replicas of the router, each with a core's worth of work; null: two on four cores and more,
    where no key has limits, else one."""
    enable_debug: bool = False
    """Serve the /debug endpoints, take `debug_config` of requests, and say what answers took."""
    enable_tracing: bool = False
    """Have engines keep their last 100,000 events, which /debug/dump_event_trace gives."""
    dashboard: bool = True
    """Serve a page at /dashboard that shows the cluster, to admins where there are keys."""
    strict_fields: bool = False
    """Refuse requests with fields that nobody knows, instead of ignoring them with a warning."""
    share_prefixes: bool = False
    """Let tenants find each other's KV pages: faster, and they can tell what others have asked."""
    api_keys_file: Anywhere | None = None
    """More API keys, in a file of their own with a section keys, which is read again when it
    changes."""
    tls_cert: Anywhere | None = None
    """Certificates in PEM, ours first: serve HTTPS, and gRPC over TLS."""
    tls_key: Anywhere | None = None
    """The certificate's key in PEM."""
    tls_client_ca: Anywhere | None = None
    """Authorities in PEM: clients must then show a certificate that one of them has signed."""
    files_directory: Anywhere | None = None
    """Where /v1/files and /v1/batches keep what they are given and make, for all routers of a
    machine, and for the next start; null: there are none."""
    allowed_hosts: tuple[HostName, ...] = ()
    """Without keys, names in a URL's place for the host besides localhost and `host`; "*": all."""
    cors_origins: tuple[str, ...] = ()
    """Whose pages may ask from a browser, as https://chat.example.org; "*": all."""
    keys: tuple[KeyEntry, ...] = ()
    """Who may ask; without keys, everybody who reaches the host."""
    limits: Limits = Limits()
    """What is bounded, in bytes, requests and seconds."""
    autoscaling: Autoscaling = Autoscaling()
    """How the number of workers changes, between replicas and max_replicas."""
    _all_ranks: int | None = PrivateAttr(None)
    _own_keys: tuple[KeyEntry, ...] | None = PrivateAttr(None)

    @field_validator("host")
    @classmethod
    def _bare(cls, host: str) -> str:
        """An address of IPv6 may be written as in a URL."""
        return bare_host(host)

    @model_validator(mode="after")
    def _agrees(self) -> "ClusterConfig":
        self.check()
        if self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port must differ, found {self.port} twice")
        if (self.cluster is None) != (self.cluster_secret is None):
            raise ValueError(
                "cluster and cluster_secret belong together: machines join by a secret alone, "
                "found one without the other"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together, found one without the other")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError(
                "tls_client_ca needs tls_cert and tls_key: who has no certificate is shown none"
            )
        for field in ("name", "sha256"):
            for entry, count in Counter(getattr(key, field) for key in self.keys).items():
                if count > 1:
                    raise ValueError(f"keys: each needs its own {field}, found {entry} twice")
        for name in sorted(self.engine.keys() & ClusterConfig.model_fields.keys()):
            raise ValueError(f"engine.{name}: write it as {name}, at the top of the file")
        for number, entry in enumerate(self.models):
            try:
                self._of(entry)
            except ValidationError as error:
                first = error.errors()[0]["msg"].removeprefix(VALUE_ERROR)
                raise ValueError(f"models.{number}: {first}") from None
        return self

    @property
    def each(self) -> "tuple[ClusterConfig, ...]":
        """One configuration for each model, all of which share the machines."""
        made = tuple(self._of(entry) for entry in self.models) or (self,)
        for one in made:
            one._all_ranks = sum(other.workers_of_a_machine * other.ranks for other in made)
        return made

    @property
    def joined_at(self) -> Place | None:
        """Where other machines join, if they may."""
        return None if self.cluster is None else place_of(self.cluster)

    @property
    def workers_of_a_machine(self) -> int:
        """As many workers of this model may be on a machine without GPUs: where machines may join,
        one on each, so that all of them have the same to do."""
        return self.most_replicas if self.cluster is None else 1

    def _of(self, entry: ModelEntry) -> "ClusterConfig":
        """The configuration of one of the models. Raises ValidationError."""
        return ClusterConfig.model_validate({**self.model_dump(exclude={"models"}), **entry.given})

    @property
    def own_keys(self) -> tuple[KeyEntry, ...]:
        """The keys that are not from `api_keys_file`."""
        return self.keys if self._own_keys is None else self._own_keys

    def keeping(self, own_keys: tuple[KeyEntry, ...]) -> "ClusterConfig":
        """The same, with word of which keys are not from `api_keys_file`."""
        made = self.model_copy()
        made._own_keys = own_keys
        return made

    @property
    def all_ranks(self) -> int:
        """Ranks of all workers that there may be on a machine, those of other models included."""
        return self._all_ranks or self.workers_of_a_machine * self.ranks

    @property
    def reachable_host(self) -> str:
        """The host by which this machine reaches what listens on `host`."""
        return EVERY_ADDRESS.get(self.host, self.host)

    @property
    def url(self) -> str:
        """The address at which this machine reaches HTTP."""
        scheme = "https" if self.tls_cert else "http"
        return f"{scheme}://{address_of(self.reachable_host, self.port)}"

    @property
    def grpc_address(self) -> str:
        """The address at which this machine reaches gRPC."""
        return address_of(self.reachable_host, self.grpc_port)

    @property
    def tls_files(self) -> tuple[Path | None, ...]:
        """The files that say how clients are served by TLS."""
        return self.tls_cert, self.tls_key, self.tls_client_ca

    @property
    def keys_have_limits(self) -> bool:
        """Whether some key may ask only so much: each router would grant its part of that."""
        limits = ("tokens_per_minute", "requests_per_minute", "max_concurrent")
        return any(getattr(key, limit) is not None for key in self.keys for limit in limits)

    @property
    def open_to_all(self) -> bool:
        """Other machines may ask, and nobody is asked for a key."""
        return not self.keys and not is_loopback(self.host)


SECTIONS: dict[str, type[Section]] = {"limits": Limits, "autoscaling": Autoscaling}
PARTS: dict[str, type[Section]] = {
    **SECTIONS, "keys": KeyEntry, "models": ModelEntry, "schedule": ScheduledLeast,
}  # fmt: skip
"""What stands below a top-level key."""
