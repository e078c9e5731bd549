"""The process that holds Ray: builds the model, starts the cluster, and says how far it is.

It is a process of its own so that the one at the terminal can end it whatever it does: Ray and
the compiler leave no time for Ctrl-C, and Ray says a long goodbye. It reads what is asked for, a
line of JSON, from its input, and another one whenever that changes; the input stays open as long as
the terminal's process lives. It writes Events to its output.
"""

import json
import logging
import os
import resource
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from raylax.cluster.application.deployment import (
    all_are_there,
    check_change,
    deploy,
    others_wait_for_machines,
)
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.environment import (
    NO_CORE_FILES,
    RUN_DIRECTORY,
    entrance_of,
    ray_directory,
    remove,
)
from raylax.cluster.errors import ClusterLost, UserError, reason_of
from raylax.cluster.models.checks import check_models
from raylax.cluster.models.lookup import fetch_models, find_models
from raylax.cluster.models.memory import memory_at_the_start, plan_engines
from raylax.cluster.startup.asked import Asked
from raylax.cluster.startup.letting_in import Doorway
from raylax.cluster.startup.open_doors import check_open_doors
from raylax.cluster.startup.privacy import found_open
from raylax.cluster.supervision.front_door import ask
from raylax.cluster.supervision.processes import end_all, pids_of_run
from raylax.kernels.sources.events import Audience
from raylax.proto.addresses import url_host

END_S = 4.0
POLL_S = 0.05
ASK_S = 2.0


class Events:
    """What has happened, written as a line of JSON each: a step, the start's end, or why there is
    none; later whether a change was applied. Several threads write."""

    def __init__(self, out: IO[str]) -> None:
        self._out, self._lock = out, threading.Lock()

    def step(self, lane: str, step: str, fraction: float | None = None) -> None:
        """A lane, the model or the cluster, is at this step; `fraction` of it is done, if known."""
        self._write({"step": [lane, step, fraction]})

    @property
    def audience(self) -> Audience:
        """Who downloads tells us."""
        return Audience(partial(self.step, "model"), partial(self.step, "model"))

    def note(self, text: str) -> None:
        """A line for people."""
        self._write({"note": text})

    def joined(self, said: dict[str, Any]) -> None:
        """This machine is one of a cluster's, and has said this of itself."""
        self._write({"joined": said})

    def left(self) -> None:
        """It is none any more."""
        self._write({"left": True})

    def ready(self) -> None:
        """A request can be served."""
        self._write({"ready": True})

    def applied(self) -> None:
        """A change is served now."""
        self._write({"applied": True})

    def refused(self, why: str) -> None:
        """A change was not applied: what was before is still served."""
        self._write({"refused": why})

    def error(self, message: str) -> None:
        """There is no start, by a mistake that the user can mend."""
        self._write({"error": message})

    def lost(self, why: str) -> None:
        """There is no start, and another one may go well."""
        self._write({"lost": why})

    def fault(self, text: str) -> None:
        """There is no start, by a bug of ours: its traceback."""
        self._write({"fault": text})

    def _write(self, event: dict[str, Any]) -> None:
        with self._lock:
            print(json.dumps(event), file=self._out, flush=True)


def main() -> None:
    """Serves until it is killed, or until the terminal's process is gone."""
    events = Events(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)  # whatever a library prints goes to the log
    resource.setrlimit(
        resource.RLIMIT_CORE, (NO_CORE_FILES, NO_CORE_FILES)
    )  # of all that it starts
    asked = Asked.model_validate_json(sys.stdin.readline())
    memory_at_the_start()  # before Ray and workers have their part of it
    changed: SimpleQueue[Asked] = SimpleQueue()
    threading.Thread(target=listen, args=(changed,), daemon=True).start()
    guarded(events, run, asked, changed, events)


def run(asked: Asked, changed: "SimpleQueue[Asked]", events: Events) -> None:
    """For ever. Raises UserError, ClusterLost."""
    config = fetch_models(asked.config, events.audience)  # what a change has named, before a loss
    asked = Asked(config=config, by=asked.by)
    building = threading.Thread(target=guarded, args=(events, build, config, events))
    building.start()
    doorway = serve(asked, events, building)
    keep_applying(asked, changed, events, doorway)


def listen(changed: SimpleQueue[Asked]) -> None:
    """Takes configurations from the terminal's process. When that is gone, so is all of the run."""
    for line in sys.stdin:
        changed.put(Asked.model_validate_json(line))
    directory = Path(os.environ[RUN_DIRECTORY])
    end_all(os.getpid(), directory, END_S)
    remove(directory)
    os._exit(1)


def guarded(events: Events, step: Any, *args: Any) -> None:
    """Whatever goes wrong is said; the terminal's process then ends this one."""
    try:
        step(*args)
    except ClusterLost as error:
        events.lost(str(error))
        threading.Event().wait()
    except UserError as error:
        events.error(str(error))
        threading.Event().wait()
    except BaseException:
        events.fault(traceback.format_exc())
        threading.Event().wait()


def build(config: ClusterConfig, events: Events) -> None:
    """Every model's artefacts. Raises UserError."""
    from raylax.cluster.models.build import build as build_model

    models = find_models(config)
    for model, engine in zip(models, plan_engines(models), strict=True):
        build_model(model, engine, lambda *step: events.step("model", *step))


def keep_applying(
    asked: Asked, changed: SimpleQueue[Asked], events: Events, doorway: Doorway | None
) -> None:
    """One change after another, for ever."""
    while True:
        asked = apply(asked, changed.get(), events, doorway)


def apply(before: Asked, after: Asked, events: Events, doorway: Doorway | None = None) -> Asked:
    """What is served from now on: `before` if `after` cannot be, whatever the reason."""
    enough = all_are_there if doorway is None else others_wait_for_machines
    try:
        check_change(before.config, after.config)
        config = fetch_models(after.config, events.audience)
        check_models(find_models(config))
        if doorway is not None:
            doorway.serve(config)
        build(config, events)
        deploy(config, after.by, enough)
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        if doorway is not None:
            doorway.serve(before.config)
        deploy(before.config, f"raylax serve (a change is taken back: {error})", enough)
        events.refused(str(error))
        return before
    events.applied()
    return Asked(config=config, by=after.by)


def serve(asked: Asked, events: Events, building: threading.Thread) -> Doorway | None:
    """A local Ray, then the application; ready when a request can be served. Gives where other
    machines join, if they may. Raises UserError, a ClusterLost for whatever Ray says."""
    config, directory = asked.config, Path(os.environ[RUN_DIRECTORY])
    try:
        gcs, front_door = start_ray(config, events)
        doorway = None if config.cluster is None else Doorway(config, gcs, events.note)
        building.join()
        events.step("cluster", "starting router, worker and metrics")
        enough = all_are_there if doorway is None else lambda now: serves(directory)
        deploy(config, asked.by, enough)
        front_door()
    except UserError:
        raise
    except Exception as error:
        traceback.print_exc()  # to the log
        raise ClusterLost(f"{type(error).__name__}: {reason_of(str(error))}") from None
    events.step("cluster", "waiting for the first worker")
    wait_until_healthy(config, directory)
    check_privacy(directory)
    check_open_doors(config, [os.getpid(), *pids_of_run(os.getpid(), directory)])
    events.ready()
    return doorway


def start_ray(config: ClusterConfig, events: Events) -> tuple[str, Callable[[], None]]:
    """Ray on this machine, with a run's directory of its own, and Serve's controller. Gives the
    address of Ray's registry, and what waits for the front door."""
    events.step("cluster", "starting Ray")
    import ray

    from raylax.cluster.models.names import deployment_names
    from raylax.cluster.placement import cpus_of_the_machine, places
    from raylax.cluster.ray_patches.fewer_processes import OBJECT_STORE_BYTES, start_fewer_processes
    from raylax.cluster.ray_patches.import_paths import import_only_what_is_installed
    from raylax.cluster.ray_patches.patience import wait_longer
    from raylax.cluster.ray_patches.sooner import start_serve

    quiet()
    import_only_what_is_installed()
    start_fewer_processes()
    wait_longer()
    names = deployment_names([model.name for model in find_models(config)])
    joined = config.joined_at
    context = ray.init(
        address="local",
        num_cpus=cpus_of_the_machine(config),
        resources=places(config, names),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address=None if joined is None else joined.host,
        _temp_dir=str(ray_directory(Path(os.environ[RUN_DIRECTORY]))),
    )
    events.step("cluster", "starting the front door")
    front = {"host": url_host(config.host), "port": config.port}
    front_door = start_serve(
        http_options=front if joined is None else {**front, "location": "HeadOnly"}
    )
    return context.address_info["gcs_address"], front_door


def wait_until_healthy(config: ClusterConfig, directory: Path) -> None:
    """Through the front door, at the entrance of supervision: clients may have to show more than
    we have."""
    limit = config.limits.startup_timeout_s
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if serves(directory):
            return
        time.sleep(POLL_S)
    raise UserError(f"no worker became ready within limits.startup_timeout_s={limit:g}")


def serves(directory: Path) -> bool:
    """Whether a request can be served."""
    return ask(entrance_of(directory), ASK_S) == "serves"


def check_privacy(directory: Path) -> None:
    """Raises UserError where another user of this machine could reach into the run."""
    if found := found_open(directory, [os.getpid(), *pids_of_run(os.getpid(), directory)]):
        raise UserError(f"not private to this user, and so not served: {'; '.join(found)}")


def quiet() -> None:
    """Ray and Serve log to their files, and not to ours."""
    for logger in ("ray", "ray.serve", "ray.data"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="ray")


if __name__ == "__main__":
    main()
