"""What becomes of answers while a cluster changes under them: results as a pickle.

First the application is deployed again with another configuration, then a node of a worker is to be
taken away; in the end there is a worker for which no node has room. Runs in a process of its own,
see `cluster_on_nodes.py`.
"""

import pickle
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray import serve
from ray._private.worker import global_worker
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.serve.context import _get_global_client

from raylax import Client
from raylax.cluster.application.app import application
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.placement import placement
from raylax.cluster.ports import free_ports
from raylax.cluster.ray_patches import loopback
from raylax.cluster.supervision.processes import running
from raylax.kernels.model import StepOutput
from raylax.proto.errors import RaylaxError
from raylax.worker.ranks.rank import Rank
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.cluster_ray_gpus import OnGpu, demand_of_actors
from tests.support.cluster_ray_nodes import connected
from tests.support.cluster_serving import until

HEAD, NODES = "127.0.0.2", ("127.0.0.3", "127.0.0.4")
PREEMPTION = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
NOTICE_S = 6.0
"""Serve stops a worker 5 s before its node goes, if there is no room elsewhere."""
WORKERS, CALLS = 2, 4
BEGUN, MORE = 50, 50
"""Tokens before a change, and after it."""
PATIENCE_S = 120.0
CHANGE_S = 2 * PATIENCE_S
"""What a change may take where other clusters start beside it, and so what is asked may."""
STEP_S = 0.02
"""So that who reads can keep up: a call that is parked is on no worker."""
SETUP = "tests.support.cluster_changing.worker_setup"
GREEDY: Any = {"temperature": 0, "ignore_eos": True}


def worker_setup() -> None:
    """In every worker process: each node keeps to its own address, and a step takes its time."""
    run = Rank.run

    def slowly(self: Rank, plan: StepPlan) -> StepOutput | None:
        time.sleep(STEP_S)  # a larger model would take the cores as well
        return run(self, plan)

    type.__setattr__(Rank, "run", slowly)
    loopback.keep_to(ray.util.get_node_ip_address())


class Replica(NamedTuple):
    """A process of a deployment, as Serve knows it."""

    pid: int
    node: str
    state: str


def replicas(deployment: str) -> list[Replica]:
    """Those that have a process, of all deployments whose names begin so."""
    details = _get_global_client().get_serve_details()["applications"]["raylax"]["deployments"]
    return [
        Replica(one["pid"], one["node_ip"], str(one["state"].value))
        for name in details
        if name.startswith(deployment)
        for one in details[name]["replicas"]
        if one.get("pid")
    ]


def known_workers(client: Client) -> int:
    """To the router."""
    try:
        explained = client.generate("a", max_tokens=1, explain=True).explanation
    except RaylaxError:
        return 0
    return len(explained.candidates) if explained else 0


class Asked:
    """An answer that is read until it is enough."""

    def __init__(self, client: Client, prompt: str) -> None:
        self.prompt, self.parts, self.id = prompt, [""], ""
        self.longest_pause_s, self.enough, self.failure = 0.0, sys.maxsize, ""
        self._thread = threading.Thread(target=self._read, args=(client,), daemon=True)
        self._thread.start()

    def _read(self, client: Client) -> None:
        before = None
        try:
            for part in client.stream_generate(self.prompt, max_tokens=16000, **GREEDY):
                now = time.monotonic()
                self.longest_pause_s = max(self.longest_pause_s, now - (before or now))
                self.id, before = part.id, now
                self.parts.append(part.text)
                if len(self.parts) > self.enough:
                    return
            self.failure = "it ended"
        except RaylaxError as error:
            self.failure = str(error)

    def failure_when_read(self) -> str:
        """Once it is enough; empty for an answer that went on until then."""
        self._thread.join(PATIENCE_S)
        return self.failure

    def result(self, client: Client) -> dict[str, Any]:
        """Beside what nothing has disturbed."""
        failure = self.failure_when_read()
        text = "".join(self.parts)
        whole = client.generate(self.prompt, max_tokens=len(self.parts) + MORE, **GREEDY).text
        return {
            "failure": failure,
            "same": whole.startswith(text),
            "longest_pause_s": self.longest_pause_s,
            "moments": [moment.name for moment in client.explain(self.id).events],
        }


def changed(client: Client, change: Callable[[], None], going: set[int]) -> dict[str, Any]:
    """Change something while each worker has answers, until one of the processes that are to go
    has gone."""
    until(lambda: known_workers(client) == WORKERS, PATIENCE_S)
    asked = [Asked(client, f"abc{call}") for call in range(CALLS)]
    until(lambda: all(len(one.parts) > BEGUN for one in asked), PATIENCE_S)
    changing = threading.Thread(target=change)
    changing.start()
    stopping: dict[int, float] = {}
    while set(running(going)) == going:
        for pid, _, state in replicas("Worker"):
            if state == "STOPPING":
                stopping.setdefault(pid, time.monotonic())
        time.sleep(0.2)  # to ask more often takes as long as the change itself
    (gone,) = going - set(running(going))
    now = time.monotonic()
    took_s = now - stopping.get(gone, now)
    for one in asked:
        one.enough = len(one.parts) + MORE
    changing.join()
    until(
        lambda: len([one for one in replicas("Worker") if one.state == "RUNNING"]) > 0, PATIENCE_S
    )
    with ThreadPoolExecutor(CALLS) as pool:
        answers = list(pool.map(lambda one: one.result(client), asked))
    return {"took_s": took_s, "answers": answers}


def asked_of_the_cluster_autoscaler() -> list[dict[str, float]]:
    """The resources that Ray knows to be missing while Serve starts a worker on GPUs, of which
    there are none."""
    worker = serve.deployment(OnGpu, name="OnGpu", **placement(ClusterConfig(device="cuda")))
    target = serve.RunTarget(worker.bind(), "on-gpu", route_prefix=None)
    serve.run_many([target], wait_for_applications_running=False)
    return demand_of_actors()


def drain(address: str) -> None:
    """As a cloud's notice reaches Ray."""
    (node,) = [one["NodeID"] for one in ray.nodes() if one["NodeManagerAddress"] == address]
    deadline_ms = int(1000 * (time.time() + NOTICE_S))
    global_worker.gcs_client.drain_node(node, PREEMPTION, "preempted", deadline_ms)


def main() -> None:
    """Deploys, changes and drains, and writes what became of the answers."""
    written, checkpoint = Path(sys.argv[1]), sys.argv[2]
    connected(
        {HEAD: 0, **dict.fromkeys(NODES, 1)}, setup="tests.support.cluster_changing.worker_setup"
    )
    serve.start(proxy_location="Disabled")
    (port,) = free_ports(1)
    args = {"model": checkpoint, "grpc_port": port, "replicas": WORKERS, "policy": "round-robin"}

    def deploy(sequences: int) -> None:
        built = application({**args, "max_num_sequence": sequences})
        serve.run(built, name="raylax", route_prefix="/")

    deploy(8)
    router, workers = replicas("Router"), replicas("Worker")
    with Client(f"127.0.0.1:{port}", timeout_s=CHANGE_S) as client:
        going = {one.pid for one in workers}
        found: dict[str, Any] = {"updated": changed(client, partial(deploy, 9), going)}
        found["updated"]["router stays"] = replicas("Router") == router
        found["updated"]["workers stay"] = {*replicas("Worker")} & {*workers}
        leaves = next(one for one in replicas("Worker") if one.node != router[0].node)
        notice = partial(drain, leaves.node)
        found["preempted"] = changed(client, notice, {leaves.pid})
    found["asked of Ray"] = asked_of_the_cluster_autoscaler()
    written.write_bytes(pickle.dumps(found))
