"""The life of `raylax serve`: check, start, serve until told to stop, leave nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from raylax.cluster import environment
from raylax.cluster.config import ClusterConfig
from raylax.cluster.driver import END_S
from raylax.cluster.errors import UserError
from raylax.cluster.models import find_models
from raylax.cluster.ports import check_free
from raylax.cluster.processes import end_all
from raylax.cluster.progress import Steps
from raylax.cluster.signals import Stopping, ignore_signals, stop_on_signals
from raylax.cluster.tls import bring_certificate

LOG = "driver.log"
LAST_LINES = 20
OPEN = "warning: everybody who reaches {} may ask: there are no API keys; see `raylax key`"


def serve(config: ClusterConfig, console: Console) -> None:
    """Blocks until a signal. Raises UserError for what the user can mend."""
    names = [model.name for model in find_models(config)]
    if config.open_to_all:
        console.print(OPEN.format(config.host), style="yellow", highlight=False, soft_wrap=True)
    check_free(config.host, config.port, "--port")
    check_free(config.host, config.grpc_port, "--grpc-port")
    directory = environment.make_run_directory()
    try:
        stop_on_signals()
        if config.tls_cert is not None and config.tls_key is not None:
            bring_certificate(config.tls_cert, config.tls_key, directory)
        driver = start_driver(directory, config)
        with Steps(console) as steps:
            follow(driver, directory, steps)
        announce(config, names, directory, console)
        follow(driver, directory, None)
    except Stopping:
        console.print("stopping")
    finally:
        ignore_signals()
        end_all(os.getpid(), directory, END_S)
        environment.remove(directory)


def start_driver(directory: Path, config: ClusterConfig) -> "subprocess.Popen[str]":
    """In a session of its own: the terminal's Ctrl-C is for us alone."""
    with (directory / LOG).open("w") as log:
        driver = subprocess.Popen(
            [sys.executable, "-m", "raylax.cluster.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            env=environment.for_ray(directory),
        )
    assert driver.stdin is not None
    driver.stdin.write(config.model_dump_json() + "\n")
    driver.stdin.flush()
    return driver


def follow(driver: "subprocess.Popen[str]", directory: Path, steps: Steps | None) -> None:
    """Show what the driver says until it is ready. Raises UserError, or RuntimeError for a bug."""
    assert driver.stdout is not None
    for line in driver.stdout:
        match json.loads(line):
            case {"step": [lane, step, fraction]} if steps:
                steps.show(lane, step, fraction)
            case {"ready": _}:
                return
            case {"error": message}:
                raise UserError(message)
            case {"fault": text}:
                raise RuntimeError(text)
    lines = (directory / LOG).read_text(errors="replace").splitlines()
    raise UserError("\n".join(["the cluster ended; its last words:", *lines[-LAST_LINES:]]))


def announce(config: ClusterConfig, names: list[str], directory: Path, console: Console) -> None:
    model = f'"model": "{names[0]}", ' if len(names) > 1 else ""
    body = f'{{{model}"messages": [{{"role": "user", "content": "What is 2 + 2?"}}]}}'
    console.print(
        f"\n[bold green]raylax serves {', '.join(names)}[/] at [bold]{config.url}/v1[/] "
        f"and gRPC [bold]{config.reachable_host}:{config.grpc_port}[/]\n",
        highlight=False,
        soft_wrap=True,
    )
    print(f"    curl {config.url}/v1/chat/completions -H 'Content-Type: application/json' \\")
    print(f"      -d '{body}'\n", flush=True)
    logs = directory / "session_latest" / "logs"
    console.print(f"Logs: {logs} while it runs", highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops it.", highlight=False)
