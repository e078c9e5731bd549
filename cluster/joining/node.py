"""The process that holds Ray's part of a machine that joins: a raylet, which starts the workers.

It is a process of its own for the same reasons as `raylax.cluster.startup.driver`, and speaks with
the terminal's in the same way: it reads its task, a line of JSON, and writes Events. When its input
ends it gives the machine back; that is all that it can be told.
"""

import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from raylax.cluster.environment import NO_CORE_FILES, RUN_DIRECTORY, ray_directory, remove
from raylax.cluster.errors import ClusterLost
from raylax.cluster.joining.checks import parts_of
from raylax.cluster.joining.leaving import give_notice, wait_until_idle
from raylax.cluster.membership.said import Joined, Welcome
from raylax.cluster.models.build import build
from raylax.cluster.models.memory import memory_at_the_start
from raylax.cluster.startup.driver import END_S, Events, guarded, quiet
from raylax.cluster.supervision.processes import end_all
from raylax.worker.hardware.cores import usable_cores

POLL_S = 0.1
NOTICE_S = 3.0
"""Serve stops workers 5 s before their machine goes: with less it does so at once."""
GOODBYE_S = 1.0


class Task(BaseModel):
    """What the terminal's process has heard and chosen."""

    welcome: Welcome
    address: str


def main() -> None:
    """A part of the cluster until the input ends, or the raylet does."""
    events = Events(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)  # whatever a library prints goes to the log
    resource.setrlimit(resource.RLIMIT_CORE, (NO_CORE_FILES, NO_CORE_FILES))
    task = Task.model_validate_json(sys.stdin.readline())
    memory_at_the_start()
    told_to_leave = threading.Event()
    threading.Thread(target=listen, args=(told_to_leave,), daemon=True).start()
    guarded(events, run, task, events, told_to_leave)


def listen(told_to_leave: threading.Event) -> None:
    """The terminal's process wants to go, or is gone: where it waits for long it kills us."""
    sys.stdin.read()
    told_to_leave.set()
    time.sleep(NOTICE_S + 2 * GOODBYE_S)
    directory = Path(os.environ[RUN_DIRECTORY])
    end_all(os.getpid(), directory, END_S)
    remove(directory)
    os._exit(1)


def run(task: Task, events: Events, told_to_leave: threading.Event) -> None:
    """Raises UserError, ClusterLost."""
    for part in parts_of(task.welcome):
        build(*part, lambda *step: events.step("model", *step))
    events.step("cluster", "starting Ray's part of this machine")
    node = start_node(task)
    resources = node.get_resource_and_label_spec()
    joined = Joined(cpus=usable_cores(), gpus=int(resources.num_gpus or 0))
    events.joined(joined.model_dump())
    while not told_to_leave.wait(POLL_S):
        if dead := node.dead_processes():
            names = ", ".join(str(name) for name, _ in dead)
            raise ClusterLost(f"Ray's part of this machine has ended ({names})")
    give_notice(node.get_gcs_client(), node.node_id, NOTICE_S)
    wait_until_idle(os.getpid(), NOTICE_S)
    node.kill_all_processes(check_alive=False, allow_graceful=True)
    events.left()
    threading.Event().wait()  # to be ended


def start_node(task: Task) -> Any:
    """Ray's processes of a machine, as `ray start` makes them, without those that we have no use
    for. Returns when the cluster knows it."""
    from ray._private import node, parameter

    from raylax.cluster.ray_patches.fewer_processes import OBJECT_STORE_BYTES, start_fewer_processes
    from raylax.cluster.ray_patches.patience import wait_longer

    quiet()
    start_fewer_processes()
    wait_longer()
    welcome = task.welcome
    made = parameter.RayParams(
        gcs_address=welcome.gcs,
        node_ip_address=task.address,
        num_cpus=max(usable_cores(), welcome.cpus),
        resources=welcome.places,
        object_store_memory=OBJECT_STORE_BYTES,
        temp_dir=str(ray_directory(Path(os.environ[RUN_DIRECTORY]))),
    )
    try:
        return node.Node(made, head=False, shutdown_at_exit=False, spawn_reaper=False)
    except Exception as error:
        raise ClusterLost(f"Ray takes no part of this machine: {error}") from error


if __name__ == "__main__":
    main()
