"""How a machine leaves a cluster of Ray: first what runs there goes elsewhere.

Ray is told that the machine is about to be taken away. Serve then starts elsewhere what has room
there, and stops what is here: a worker's sequences move, a router ends what it has begun and takes
nothing more.
"""

import time
from typing import Any, NamedTuple

from rich.console import Console

from raylax.cluster.errors import UserError
from raylax.cluster.supervision.processes import (
    all_processes,
    arguments_of,
    below,
    marked,
    run_of,
)
from raylax.cluster.supervision.roles import Role, role_of

POLL_S = 0.1
SERVING = {Role.WORKER, Role.SHARD, Role.ROUTER, Role.MANAGER, Role.HAPROXY, Role.PROXY}
"""Of processes, what somebody may still want something of."""


class Raylet(NamedTuple):
    """Ray's part of a machine."""

    pid: int
    node_id: str
    gcs: str


def leave(within_s: float, console: Console) -> None:
    """Returns when nothing serves here any more. Raises UserError where there is no part of Ray
    here, or several, or something still serves after so long."""
    raylet = the_raylet(raylets())
    give_notice(client_of(raylet.gcs), raylet.node_id, within_s)
    if not wait_until_idle(raylet.pid, within_s):
        roles = sorted(serving_below(raylet.pid))
        raise UserError(f"after {within_s:g} s there still serve here: {', '.join(roles)}")
    console.print("nothing serves on this machine any more", highlight=False)


def client_of(gcs: str) -> Any:
    """Of Ray's registry."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    return GcsClient(address=gcs)


def give_notice(client: Any, node_id: str, within_s: float) -> None:
    """The machine goes after so long. Serve stops what is still there 5 s before."""
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    preemption = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    until_ms = int(1000 * (time.time() + within_s))
    client.drain_node(node_id, preemption, "raylax leaves this machine", until_ms)


def wait_until_idle(root: int, within_s: float) -> bool:
    """Whether nothing below this process serves any more, in time."""
    deadline = time.monotonic() + within_s
    while serving_below(root):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def serving_below(root: int) -> set[Role]:
    """What does so; of a run of ours also what its zygote has forked, and no other raylet."""
    everything = all_processes()
    pids = below(root, everything)
    if (directory := run_of(root)) is not None:
        others = {raylet.pid for raylet in raylets()} - pids - {root}
        theirs = set[int]().union(*(below(other, everything) for other in others))
        pids |= marked(directory, everything) - theirs
    return {role_of(arguments_of(pid)) for pid in pids} & SERVING


def raylets() -> list[Raylet]:
    """All on this machine."""
    found = []
    for process in all_processes():
        arguments = arguments_of(process.pid)
        if not process.ended and role_of(arguments) is Role.RAYLET:
            told = dict(one.split("=", 1) for one in arguments if "=" in one)
            found.append(Raylet(process.pid, told["--node_id"], told["--gcs-address"]))
    return found


def the_raylet(found: list[Raylet]) -> Raylet:
    """The only one. Raises UserError."""
    if len(found) != 1:
        pids = ", ".join(str(one.pid) for one in found)
        raise UserError(
            f"there must be one raylet of Ray on this machine, found {len(found)}: {pids or 'none'}"
        )
    return found[0]
