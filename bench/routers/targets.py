"""What is asked: engines, and each router in front of them, as processes that end with their block."""

import json
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engines.base import PeerFailed
from engines.cores import seconds_of
from engines.processes import end, last_error, start

from raylax.cluster.ports import free_ports

PATIENCE_S = 120.0
BENCH = Path(__file__).parents[1]
MODEL = "mock"


@dataclass(frozen=True)
class Target:
    """Clients are spread over `urls`; what `pids` and their children take is the router's cost."""

    name: str
    urls: list[str]
    pids: list[int]
    ours: bool = False

    def cpu_s(self) -> float:
        return seconds_of(self.pids)


@dataclass(frozen=True)
class Engines:
    """The same number of each kind."""

    ours: list[str]
    http: list[str]
    secret: str


@contextmanager
def running(name: str, command: Sequence[object], **options: Any) -> Iterator[tuple[Any, IO[str]]]:
    """A process, and what it complains of."""
    with tempfile.TemporaryFile("w+") as said:
        process = start([str(one) for one in command], cwd=BENCH, stderr=said, **options)
        try:
            yield process, said
        finally:
            end(process)


@contextmanager
def child(module: str, *arguments: object, secret: str = "") -> Iterator[tuple[str, int]]:
    """One of our own scripts: its address and its pid."""
    command = [sys.executable, "-m", f"routers.{module}", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with running(module, command, **pipes) as (process, said):
        process.stdin.write(f"{secret}\n")
        process.stdin.flush()
        if not (address := process.stdout.readline().strip()):
            raise PeerFailed(module, last_error(said))
        yield address, process.pid


@contextmanager
def engines(count: int, step_ms: float, token_ids: list[int]) -> Iterator[Engines]:
    with ExitStack() as stack:
        secret = secrets.token_hex(16)
        ours, http = [], []
        for number in range(count):
            ask = child("engine", f"w{number}", step_ms, *token_ids, secret=secret)
            ours.append(stack.enter_context(ask)[0])
            http.append(stack.enter_context(child("openai_engine", MODEL, step_ms))[0])
        yield Engines(ours, http, secret)


@contextmanager
def raylax(checkpoint: Path, engines: Engines, routers: int) -> Iterator[Target]:
    """So many processes on one port."""
    (port,) = free_ports(1)
    with ExitStack() as stack:
        ask = [
            child("ours", checkpoint, MODEL, port, *engines.ours, secret=engines.secret)
            for _ in range(routers)
        ]
        started = [stack.enter_context(one) for one in ask]
        name = "raylax" if routers == 1 else f"raylax x{routers}"
        yield Target(name, [started[0][0]], [pid for _, pid in started], ours=True)


@contextmanager
def sglang(python: Path, engines: Engines) -> Iterator[Target]:
    port, prometheus_port = free_ports(2)
    command = [
        python, "-m", "sglang_router.launch_router", "--host", "127.0.0.1", "--port", port,
        "--prometheus-port", prometheus_port, "--policy", "cache_aware", "--log-level", "error",
        "--worker-urls", *engines.http,
    ]  # fmt: skip
    with rival("sglang", command, port) as target:
        yield target


@contextmanager
def litellm(python: Path, engines: Engines) -> Iterator[Target]:
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config.yaml"
        config.write_text(json.dumps(litellm_config(engines)))  # JSON is YAML
        command = [
            python, "-c", "from litellm import run_server; run_server()", "--config", config,
            "--host", "127.0.0.1", "--port", port, "--num_workers", 1, "--telemetry", False,
        ]  # fmt: skip
        with rival("litellm", command, port) as target:
            yield target


def litellm_config(engines: Engines) -> dict[str, Any]:
    def model(url: str) -> dict[str, Any]:
        to = {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": "none"}
        return {"model_name": MODEL, "litellm_params": to}

    return {
        "model_list": [model(url) for url in engines.http],
        "router_settings": {"routing_strategy": "simple-shuffle"},
        "litellm_settings": {"set_verbose": False, "num_retries": 0},
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},  # loopback only
    }


@contextmanager
def rival(name: str, command: Sequence[object], port: int) -> Iterator[Target]:
    url = f"http://127.0.0.1:{port}"
    with running(name, command, stdout=subprocess.DEVNULL) as (process, said):
        wait_for_answer(name, url, process, said)
        yield Target(name, [url], [process.pid])


def wait_for_answer(name: str, url: str, process: "subprocess.Popen[str]", said: IO[str]) -> None:
    """One token is asked for until it comes."""
    asked = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    deadline, why = time.monotonic() + PATIENCE_S, ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PeerFailed(name, last_error(said))
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(asked).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                answer.read()
                return
        except (urllib.error.URLError, OSError) as error:
            why = str(error)
        time.sleep(0.1)
    raise PeerFailed(name, f"no answer within {PATIENCE_S:g} s: {why}")
