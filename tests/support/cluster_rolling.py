"""What becomes of answers while Kubernetes would roll an upgrade out: results as a pickle.

A RayService's serveConfigV2, as manifests have it, is deployed on nodes that have what its pods
would have, and then another one in its place, as KubeRay does: both by `serve deploy`. Runs in a
process of its own, see `cluster_on_nodes.py`.
"""

import pickle
import sys
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from raylax import Client
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.manifests.serving import serve_config
from raylax.cluster.manifests.site import Options, Site, site_of
from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import running
from raylax.proto.errors import RaylaxError
from tests.support.cluster_changing import (
    BEGUN,
    CALLS,
    CHANGE_S,
    MORE,
    PATIENCE_S,
    WORKERS,
    Asked,
    known_workers,
    replicas,
)
from tests.support.cluster_ray_nodes import connected
from tests.support.cluster_serving import until

HEAD, PODS = "127.0.0.2", ("127.0.0.3", "127.0.0.4")


def site(checkpoint: str, port: int, sequences: int) -> Site:
    """An installation with pods of one core."""
    config = ClusterConfig.model_validate(
        {
            "model": checkpoint, "grpc_port": port, "replicas": WORKERS, "routers": 1,
            "policy": "round-robin", "max_num_sequence": sequences,
            "engine": {"kv_cache_bytes": 1 << 28},
        }
    )  # fmt: skip
    return site_of(config, Options(cpus=1))


def nodes_of(site: Site) -> dict[str, dict[str, float]]:
    """What Ray would be told that pods have; the head is a router's, too."""
    (workers,) = site.workers
    of_the_head = {site.head.resource: 2.0, site.routers.resource: 2.0}
    return {HEAD: of_the_head, **{address: {workers.resource: 1.0} for address in PODS}}


def deploy(site: Site) -> None:
    """As KubeRay: it tells Serve, and looks again later."""
    _get_global_client().deploy_apps(ServeDeploySchema(**serve_config(site)), _blocking=False)


def answers(port: int) -> bool:
    """Whether both workers are known to a router."""
    try:
        with Client(f"127.0.0.1:{port}", timeout_s=PATIENCE_S) as client:
            return known_workers(client) == WORKERS
    except RaylaxError:
        return False


def main() -> None:
    """Deploys twice under load, and writes what became of the answers, and who was where. All
    answer the same, on workers that go one after the other."""
    written, checkpoint = Path(sys.argv[1]), sys.argv[2]
    (port,) = free_ports(1)
    first, second = site(checkpoint, port, 8), site(checkpoint, port, 9)
    connected(
        {HEAD: 0, **dict.fromkeys(PODS, 1)},
        nodes_of(first),
        setup="tests.support.cluster_changing.worker_setup",
    )
    serve.start(proxy_location="Disabled")
    deploy(first)
    until(lambda: answers(port), CHANGE_S)
    before = {name: replicas(name) for name in ("Metrics", "Router", "Worker")}
    old = {one.pid for one in before["Worker"]}
    with Client(f"127.0.0.1:{port}", timeout_s=CHANGE_S) as client:
        asked = [Asked(client, "abc") for _ in range(CALLS)]
        until(lambda: all(len(one.parts) > BEGUN for one in asked), PATIENCE_S)
        deploy(second)
        until(lambda: not running(old), CHANGE_S)
        until(
            lambda: [one.state for one in replicas("Worker")] == ["RUNNING"] * WORKERS, PATIENCE_S
        )
        for one in asked:
            one.enough = len(one.parts) + MORE
        failures = [one.failure_when_read() for one in asked]
    found: dict[str, Any] = {
        "failures": failures,
        "answers": ["".join(one.parts) for one in asked],
        "nodes": {name: {one.node for one in of} for name, of in before.items()},
        "stayed": old & {one.pid for one in replicas("Worker")},
    }
    written.write_bytes(pickle.dumps(found))
