"""The environment variables that raylax reads, and those that it sets for Ray.

    RAYLAX_STORE     where compiled models and packed weights are kept (default ~/.cache/raylax)
    XDG_CACHE_HOME   the parent of that default

Ray reads its own when it is imported and in every process that it starts, so `prepare_for_ray`
comes first.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

RUN_DIRECTORY = "RAYLAX_RUN_DIRECTORY"
"""Marks every process of one `raylax serve`: children inherit it, and are found by it."""

FOR_RAY = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
}
"""HAProxy in front and user code on the main loop; no word to anybody outside."""


def prepare_for_ray() -> Path:
    """Sets Ray's variables and makes the run's private directory; returns it.

    Only our processes can join: the cluster's token lies in the directory, readable by us alone.
    """
    directory = Path(tempfile.mkdtemp(prefix="raylax-"))  # Ray's sockets need a short path
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    os.environ |= FOR_RAY
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    os.environ["RAY_TMPDIR"] = str(directory)
    os.environ["TMPDIR"] = str(directory)  # HAProxy's files
    os.environ[RUN_DIRECTORY] = str(directory)
    return directory


def remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
