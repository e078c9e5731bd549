"""The process that holds Ray: builds the model, starts the cluster, and says how far it is.

It is a process of its own so that the one at the terminal can end it whatever it does: Ray and
the compiler leave no time for Ctrl-C, and Ray says a long goodbye. It reads the configuration, a
line of JSON, from its input, which stays open as long as the terminal's process lives, and writes
Events to its output.
"""

import json
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import IO, Any

from raylax.cluster.config import ClusterConfig
from raylax.cluster.environment import RUN_DIRECTORY, remove
from raylax.cluster.errors import UserError
from raylax.cluster.models import find_models
from raylax.cluster.processes import end_all

END_S = 4.0
POLL_S = 0.05


class Events:
    """What has happened, a line of JSON each: a step, the start's end, or why there is none."""

    def __init__(self, out: IO[str]) -> None:
        self._out, self._lock = out, threading.Lock()

    def step(self, lane: str, step: str, fraction: float | None = None) -> None:
        self._write({"step": [lane, step, fraction]})

    def ready(self) -> None:
        self._write({"ready": True})

    def error(self, message: str) -> None:
        """The user's mistake."""
        self._write({"error": message})

    def fault(self, text: str) -> None:
        """Ours."""
        self._write({"fault": text})

    def _write(self, event: dict[str, Any]) -> None:
        with self._lock:
            print(json.dumps(event), file=self._out, flush=True)


def main() -> None:
    """Serves until it is killed, or until the terminal's process is gone."""
    events = Events(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)  # whatever a library prints goes to the log
    config = ClusterConfig.model_validate_json(sys.stdin.readline())
    threading.Thread(target=end_with_the_terminal, daemon=True).start()
    building = threading.Thread(target=guarded, args=(events, build, config, events))
    building.start()
    guarded(events, serve, config, events, building)
    threading.Event().wait()


def end_with_the_terminal() -> None:
    sys.stdin.read()
    directory = Path(os.environ[RUN_DIRECTORY])
    end_all(os.getpid(), directory, END_S)
    remove(directory)
    os._exit(1)


def guarded(events: Events, step: Any, *args: Any) -> None:
    """Whatever goes wrong is said; the terminal's process then ends this one."""
    try:
        step(*args)
    except UserError as error:
        events.error(str(error))
        threading.Event().wait()
    except BaseException:
        events.fault(traceback.format_exc())
        threading.Event().wait()


def build(config: ClusterConfig, events: Events) -> None:
    from raylax.cluster.build import build as build_model

    for model in find_models(config):
        build_model(model.config, model.checkpoint, lambda *step: events.step("model", *step))


def serve(config: ClusterConfig, events: Events, building: threading.Thread) -> None:
    """A local Ray, then the application; ready when a request can be served."""
    start_ray(config, events)
    building.join()
    deploy(config, events)
    events.step("cluster", "waiting for the first worker")
    wait_until_healthy(config)
    events.ready()


def start_ray(config: ClusterConfig, events: Events) -> None:
    events.step("cluster", "starting Ray")
    import ray
    from ray import serve

    from raylax.cluster.lean import OBJECT_STORE_BYTES, keep_ray_lean
    from raylax.cluster.placement import cpus_of_the_machine

    quiet()
    keep_ray_lean()
    ray.init(
        address="local",
        num_cpus=cpus_of_the_machine(config),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
        runtime_env={"worker_process_setup_hook": "raylax.cluster.front_door.prepare"},
        _temp_dir=os.environ[RUN_DIRECTORY],
    )
    events.step("cluster", "starting the front door")
    serve.start(http_options={"host": config.host, "port": config.port})


def deploy(config: ClusterConfig, events: Events) -> None:
    from ray import serve

    from raylax.cluster.app import build_application

    events.step("cluster", "starting router, worker and metrics")
    application = build_application(config)
    try:
        serve.run(application, name="raylax", route_prefix="/")
    except RuntimeError as error:
        raise UserError(f"the application did not start: {reason_of(str(error))}") from None


def wait_until_healthy(config: ClusterConfig) -> None:
    """Through the front door, as a client would ask: but this machine knows whom it asks."""
    import httpx

    limit = config.limits.startup_timeout_s
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{config.url}/health", timeout=2, verify=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(POLL_S)
    raise UserError(f"no worker became ready within limits.startup_timeout_s={limit:g}")


def reason_of(text: str) -> str:
    """The last line of a replica's traceback says what happened."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return errors[-1] if errors else lines[-1]


def quiet() -> None:
    """Ray and Serve log to their files."""
    for logger in ("ray", "ray.serve", "ray.data"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="ray")


if __name__ == "__main__":
    main()
