"""Keeps Ray from starting what a cluster of one machine does not use.

`ray start` has flags for this, `ray.init` has not. The monitor adds machines, the log monitor
copies logs to the terminal, the API server shows a dashboard: each is a Python process, and
`ray.init` waits for the last. Workers started ahead of need lack our setup hook; see
`environment.FOR_RAY`.
"""

from functools import partial
from typing import Any

OBJECT_STORE_BYTES = 128 << 20
"""Tokens never travel as Ray objects; the engine needs the memory more."""


def start_fewer_processes() -> None:
    """Make `ray.init` leave them out, in this process and from now on."""
    from ray._private import node, parameter

    parameter.RayParams = partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    node.Node.start_api_server = no_api_server


def no_api_server(self: Any, **settings: Any) -> None:
    """Stands in for a method of Ray's that starts a dashboard and waits for it."""
