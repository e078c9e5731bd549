"""What becomes of answers while Kubernetes evicts the pod of their router: results as a pickle.

The application runs on nodes that have what pods would have, two of which could hold the router.
On that of the one who does what the pod is told to do before it ends (`raylax leave`) is done. Runs
in a process of its own, see `cluster_on_nodes.py`.
"""

import pickle
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve

from raylax import Client
from raylax.cluster.joining import leaving
from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import arguments_of, running
from raylax.proto.errors import RaylaxError
from tests.support.cluster_changing import (
    BEGUN,
    CALLS,
    CHANGE_S,
    PATIENCE_S,
    Asked,
    replicas,
)
from tests.support.cluster_ray_nodes import connected
from tests.support.cluster_rolling import HEAD, PODS, answers, deploy, site
from tests.support.cluster_serving import until

PARTS = 300
"""Of an answer, after which its reader has enough: several seconds."""
NOTICE_S = 60.0


def raylet_of(address: str) -> leaving.Raylet:
    """That of a node: all of them are on this machine, and those of other clusters may be."""
    ours = ray.get_runtime_context().gcs_address
    return next(
        one
        for one in leaving.raylets()
        if one.gcs == ours and f"--node_ip_address={address}" in arguments_of(one.pid)
    )


def main() -> None:
    """Deploys, evicts, and writes what became of the answers."""
    written, checkpoint = Path(sys.argv[1]), sys.argv[2]
    (port,) = free_ports(1)
    only = site(checkpoint, port, 8)
    (workers,) = only.workers
    pod = {workers.resource: 1.0, only.routers.resource: 2.0}
    resources = {HEAD: {only.head.resource: 2.0}, **dict.fromkeys(PODS, pod)}
    connected(
        {HEAD: 0, **dict.fromkeys(PODS, 1)},
        resources,
        setup="tests.support.cluster_changing.worker_setup",
    )
    serve.start(proxy_location="Disabled")
    deploy(only)
    until(lambda: answers(port), CHANGE_S)
    (router,) = replicas("Router")
    with Client(f"127.0.0.1:{port}", timeout_s=CHANGE_S) as client:
        asked = [Asked(client, f"abc{call}") for call in range(CALLS)]
        for one in asked:
            one.enough = PARTS
        until(lambda: all(len(one.parts) > BEGUN for one in asked), PATIENCE_S)
        begun = time.monotonic()
        raylet = raylet_of(router.node)
        leaving.give_notice(leaving.client_of(raylet.gcs), raylet.node_id, NOTICE_S)
        idle = leaving.wait_until_idle(raylet.pid, NOTICE_S)
        took_s = time.monotonic() - begun
        failures = [one.failure_when_read() for one in asked]
    until(lambda: answers_again(port), CHANGE_S)
    found: dict[str, Any] = {
        "idle": idle,
        "took_s": took_s,
        "failures": failures,
        "parts": [len(one.parts) for one in asked],
        "router has gone": not running([router.pid]),
        "router moved": [one.node for one in replicas("Router")] != [router.node],
    }
    written.write_bytes(pickle.dumps(found))


def answers_again(port: int) -> bool:
    """A router does, whichever workers there are."""
    try:
        with Client(f"127.0.0.1:{port}", timeout_s=PATIENCE_S) as client:
            client.generate("a", max_tokens=1)
            return True
    except RaylaxError:
        return False
