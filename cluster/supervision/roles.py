"""What a process of a run is, by its command line. Ray's processes write there what they do."""

import re
from enum import StrEnum
from os.path import basename


class Role(StrEnum):
    """What a process is for; the value is how it is named to people."""

    DRIVER = "driver"
    ZYGOTE = "zygote of Ray's workers"
    GCS = "gcs_server"
    RAYLET = "raylet"
    DASHBOARD_AGENT = "dashboard agent"
    RUNTIME_AGENT = "runtime environment agent"
    CONTROLLER = "Serve's controller"
    MANAGER = "HAProxy's manager"
    HAPROXY = "HAProxy"
    PROXY = "Serve's proxy"
    ROUTER = "router"
    WORKER = "worker"
    SHARD = "shard"
    METRICS = "Metrics"
    OTHER = "helper"


VITAL = frozenset({Role.DRIVER, Role.GCS, Role.RAYLET, Role.DASHBOARD_AGENT, Role.RUNTIME_AGENT})
"""There is one of each, which nobody starts again: without it Ray ends, or serves on without ever
replacing anything."""

PROGRAMS = {"gcs_server": Role.GCS, "raylet": Role.RAYLET, "haproxy": Role.HAPROXY}
TITLES = (
    (Role.DASHBOARD_AGENT, re.compile(r"^ray::DashboardAgent|/dashboard/agent\.py")),
    (Role.RUNTIME_AGENT, re.compile(r"^ray::RuntimeEnvAgent|/runtime_env/agent/main\.py")),
    (Role.CONTROLLER, re.compile(r"^ray::ServeController")),
    (Role.MANAGER, re.compile(r"^ray::HAProxyManager")),
    (Role.PROXY, re.compile(r"^ray::ProxyActor")),
    (Role.ROUTER, re.compile(r"^ray::.*ServeReplica:[^:]+:Router\b")),
    (Role.METRICS, re.compile(r"^ray::.*ServeReplica:[^:]+:Metrics\b")),
    (Role.WORKER, re.compile(r"^ray::.*ServeReplica:[^:]+:Worker\b")),
    (Role.SHARD, re.compile(r"^ray::ShardActor\b")),
    (Role.DRIVER, re.compile(r" -m raylax\.cluster\.startup\.driver\b")),
    (Role.ZYGOTE, re.compile(r"^raylax::Zygote| -m raylax\.cluster\.zygote\.server\b")),
)
"""The first that fits; a raylet's arguments hold the commands of its agents."""
NAMED_SHARD = re.compile(r"^ray::ShardActor:(?P<worker>\w+):(?P<rank>\d+)$")
"""As `raylax.worker.serving.shard_actors` names it."""


def role_of(arguments: list[str]) -> Role:
    """By a process's command line; OTHER for what has none, or is not known."""
    if not arguments:
        return Role.OTHER
    if (role := PROGRAMS.get(basename(arguments[0]))) is not None:
        return role
    line = " ".join(arguments)
    return next((role for role, title in TITLES if title.search(line)), Role.OTHER)


def name_of(arguments: list[str]) -> str:
    """What its log is called: what it is for, in words with hyphens between; of a shard also whose,
    and which rank."""
    role = re.sub(r"\W+", "-", role_of(arguments))
    if (shard := NAMED_SHARD.match(" ".join(arguments))) is not None:
        return f"{role}-{shard['worker']}-{shard['rank']}"
    return role
