"""Keeps Ray from starting what a cluster of one machine does not use.

`ray start` has flags for some of it, `ray.init` has none. The monitor adds machines, the log
monitor copies logs to the terminal, the API server shows a dashboard, which an agent tells of its
node, another agent makes environments, of which our workers have none of their own: each is a
Python process, and `ray.init` waits for some. Workers are forked from one that is there
(`raylax.cluster.zygote`), and none is started ahead of need.
"""

from functools import partial
from typing import Any

from raylax.cluster.ports import free_ports
from raylax.cluster.ray_patches import idle_agent
from raylax.cluster.zygote import asking

OBJECT_STORE_BYTES = 128 << 20
"""Tokens never travel as Ray objects; the engine needs the memory more."""
AGENTS = ("dashboard_agent", "runtime_env_agent")
"""Their names where Ray builds commands."""


def start_fewer_processes() -> None:
    """Make `ray.init` leave them out, in this process and from now on."""
    from ray._private import node, parameter, services

    parameter.RayParams = partial(fewer, parameter.RayParams)
    node.Node.start_api_server = no_api_server
    build = services._build_python_executable_command_memory_profileable
    services._build_python_executable_command_memory_profileable = partial(idle, build)


def fewer(make: Any, *given: Any, **more: Any) -> Any:
    """Ray's parameters of a node.

    The agent of environments is told its port, as a raylet that is to learn it ends after 15 s
    without it (https://github.com/ray-project/ray/issues/65983). What a raylet runs before a
    worker's own program is ours.
    """
    (port,) = free_ports(1)
    ours = {
        "no_monitor": True,
        "include_log_monitor": False,
        "runtime_env_agent_port": port,
        "setup_worker_path": asking.__file__,
    }
    return make(*given, **ours | more)


def no_api_server(self: Any, **settings: Any) -> None:
    """Stands in for a method of Ray's that starts a dashboard and waits for it."""


def idle(build: Any, component: str, *settings: Any, **more: Any) -> list[str]:
    """How a command begins that runs a part of Ray, of which the path follows. An agent's is an
    argument of `idle_agent`, which is found by it as the agent would be."""
    command: list[str] = build(component, *settings, **more)
    return [*command, "-I", "-S", idle_agent.__file__] if component in AGENTS else command
