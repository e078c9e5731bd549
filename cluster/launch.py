"""The life of `raylax serve`: check, build, start, serve until told to stop, leave nothing."""

import logging
import signal
import threading
import time
import warnings
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from raylax.cluster import environment
from raylax.cluster.config import ClusterConfig, UserError
from raylax.cluster.models import find_model
from raylax.cluster.ports import check_free
from raylax.cluster.processes import end_all

STOP_PATIENCE_S = 1.5
POLL_S = 0.2


class Stopping(Exception):
    """Somebody asked us to stop."""


class StopSignals:
    """The first SIGINT or SIGTERM interrupts what runs, whatever it is; a second one kills."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = threading.Event()

    def arm(self) -> None:
        """Again after Ray has started: it puts handlers of its own in place."""
        for number in self.NUMBERS:
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if not self.asked.is_set():
            self.asked.set()
            raise Stopping


class Steps:
    """Progress on a terminal as a bar, elsewhere as a line for each step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._name = ""
        self._begun = time.monotonic()

    def __enter__(self) -> "Steps":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, name: str, fraction: float | None = None) -> None:
        """A step by name; `fraction` of it done, if that is known."""
        if name != self._name:
            self._name = name
            if not self._console.is_terminal:
                passed = time.monotonic() - self._begun
                self._console.print(f"[{passed:5.1f} s] {name}", highlight=False)
        if fraction is None or name == "compile":
            self._bar.update(self._task, description=name, total=None)
        else:
            self._bar.update(self._task, description=name, completed=fraction, total=1.0)


def serve(config: ClusterConfig, console: Console) -> None:
    """Blocks until SIGINT or SIGTERM. Raises UserError for what the user can mend."""
    checkpoint, name = find_model(config)
    check_free(config.host, config.port, "--port")
    check_free(config.host, config.grpc_port, "--grpc-port")
    directory = environment.prepare_for_ray()
    signals = StopSignals()
    signals.arm()
    try:
        with Steps(console) as steps:
            build(config, checkpoint, steps)
            start(config, checkpoint, name, directory, steps, signals)
        announce(config, name, console)
        while not signals.asked.wait(POLL_S):
            pass
    except Stopping:
        console.print("stopping")
    finally:
        stop(directory)


def build(config: ClusterConfig, checkpoint: Path, steps: Steps) -> None:
    """Compile and pack before anything is started: errors come early, progress is seen."""
    from raylax.cluster.app import cpus_of_a_worker
    from raylax.kernels.errors import KernelsError
    from raylax.worker.device import detect_device
    from raylax.worker.rank import build_rank

    steps.show("reading the model")
    try:
        engine = config.engine_config(cpus_of_a_worker(config))
        device = detect_device(config.device)
        build_rank(checkpoint, device, config.mode, engine, steps.show)
    except (KernelsError, ValueError) as error:
        raise UserError(str(error)) from None


def start(
    config: ClusterConfig,
    checkpoint: Path,
    name: str,
    directory: Path,
    steps: Steps,
    signals: StopSignals,
) -> None:
    """A local Ray, then the application; returns when a request can be served."""
    import ray
    from ray import serve as ray_serve

    from raylax.cluster.app import build_application

    quiet()
    steps.show("starting Ray")
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"worker_process_setup_hook": "raylax.cluster.loopback.keep_to_loopback"},
        _temp_dir=str(directory),
    )
    signals.arm()
    steps.show("starting the front door")
    ray_serve.start(http_options={"host": config.host, "port": config.port})
    steps.show("starting router, worker and metrics")
    application = build_application(config, checkpoint, name)
    try:
        ray_serve.run(application, name="raylax", route_prefix="/")
    except RuntimeError as error:
        raise UserError(f"the application did not start: {reason_of(str(error))}") from None
    steps.show("waiting for the first worker")
    wait_until_healthy(config)


def wait_until_healthy(config: ClusterConfig) -> None:
    """Through the front door, as a client would ask."""
    import httpx

    host = "127.0.0.1" if config.host == "0.0.0.0" else config.host
    deadline = time.monotonic() + config.startup_timeout_s
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://{host}:{config.port}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(POLL_S / 4)
    raise UserError(f"no worker became ready within startup_timeout_s={config.startup_timeout_s}")


def reason_of(text: str) -> str:
    """The last line of a replica's traceback says what happened."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return errors[-1] if errors else lines[-1]


def quiet() -> None:
    """Ray and Serve log to their files; the terminal is ours."""
    for logger in ("ray", "ray.serve", "ray.data"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="ray")


def announce(config: ClusterConfig, name: str, console: Console) -> None:
    base = f"http://{config.host}:{config.port}"
    body = '{"messages": [{"role": "user", "content": "What is 2 + 2?"}]}'
    console.print(
        f"\n[bold green]raylax serves {name}[/] at [bold]{base}/v1[/] "
        f"and gRPC [bold]{config.host}:{config.grpc_port}[/]\n",
        highlight=False,
    )
    print(f"    curl {base}/v1/chat/completions -H 'Content-Type: application/json' \\")
    print(f"      -d '{body}'\n", flush=True)
    console.print("Ctrl-C stops it.", highlight=False)


def stop(directory: Path) -> None:
    """Everything that this run started, and its files. Requests in flight end with an error."""
    end_all(directory, STOP_PATIENCE_S)
    environment.remove(directory)
