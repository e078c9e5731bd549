"""The life of `raylax serve`: check, start, serve until told to stop, leave nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from raylax.cluster import environment
from raylax.cluster.config import ClusterConfig
from raylax.cluster.driver import END_S, Order
from raylax.cluster.errors import UserError
from raylax.cluster.models import find_model
from raylax.cluster.ports import check_free
from raylax.cluster.processes import end_all
from raylax.cluster.progress import Steps
from raylax.cluster.signals import Stopping, ignore_signals, stop_on_signals

LOG = "driver.log"
LAST_LINES = 20


def serve(config: ClusterConfig, console: Console) -> None:
    """Blocks until a signal. Raises UserError for what the user can mend."""
    checkpoint, name = find_model(config)
    check_free(config.host, config.port, "--port")
    check_free(config.host, config.grpc_port, "--grpc-port")
    directory = environment.make_run_directory()
    try:
        stop_on_signals()
        driver = start_driver(directory, Order(config, checkpoint, name))
        with Steps(console) as steps:
            follow(driver, directory, steps)
        announce(config, name, directory, console)
        follow(driver, directory, None)
    except Stopping:
        console.print("stopping")
    finally:
        ignore_signals()
        end_all(os.getpid(), directory, END_S)
        environment.remove(directory)


def start_driver(directory: Path, order: Order) -> "subprocess.Popen[str]":
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
    driver.stdin.write(order.to_line())
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


def announce(config: ClusterConfig, name: str, directory: Path, console: Console) -> None:
    body = '{"messages": [{"role": "user", "content": "What is 2 + 2?"}]}'
    console.print(
        f"\n[bold green]raylax serves {name}[/] at [bold]{config.url}/v1[/] "
        f"and gRPC [bold]{config.reachable_host}:{config.grpc_port}[/]\n",
        highlight=False,
        soft_wrap=True,
    )
    print(f"    curl {config.url}/v1/chat/completions -H 'Content-Type: application/json' \\")
    print(f"      -d '{body}'\n", flush=True)
    logs = directory / "session_latest" / "logs"
    console.print(f"Logs: {logs} while it runs", highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops it.", highlight=False)
