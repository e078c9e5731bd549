"""The life of `raylax serve`: check, start, serve until told to stop, leave nothing."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from raylax.cluster import environment
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import ClusterLost, UserError, reason_of
from raylax.cluster.models.checks import check_models, precision_lost
from raylax.cluster.models.lookup import find_models
from raylax.cluster.ray_patches.tls import bring_certificate
from raylax.cluster.startup.driver import END_S
from raylax.cluster.startup.machine import check_machine
from raylax.cluster.startup.processes import end_all
from raylax.cluster.startup.progress import Steps
from raylax.cluster.startup.signals import (
    Stopping,
    ignore_signals,
    reload_by,
    stop_on_signals,
    undisturbed,
)

LOG = "driver.log"
STARTS = 2
"""A machine that was too busy for the first one may not be so for the next."""
OPEN = "warning: everybody who reaches {} may ask: there are no API keys; see `raylax key`"


def serve(read: Callable[[], ClusterConfig], file: Path | None, console: Console) -> None:
    """Blocks until a signal. Raises UserError for what the user can mend. Reads again when it is
    told that its file has changed."""
    config = read()
    check_models(models := find_models(config))
    names = [model.name for model in models]
    if config.open_to_all:
        console.print(OPEN.format(config.host), style="yellow", highlight=False, soft_wrap=True)
    for lost in filter(None, map(precision_lost, models)):
        console.print(
            f"note: {lost}", style="yellow", highlight=False, markup=False, soft_wrap=True
        )
    check_machine(config)
    stop_on_signals()
    try:
        for start in range(STARTS):
            try:
                run(config, names, read, file, console)
            except ClusterLost as error:
                if start + 1 == STARTS:
                    raise given_up(error) from None
                told = f"[yellow]starting once more:[/] {escape(str(error))}"
                console.print(told, highlight=False, soft_wrap=True)
            else:
                return
    except Stopping as stop:
        console.print("stopping")
        sys.exit(stop.exit_code)
    finally:
        ignore_signals()


def run(
    config: ClusterConfig,
    names: list[str],
    read: Callable[[], ClusterConfig],
    file: Path | None,
    console: Console,
) -> None:
    """A start and all that follows, until a signal. Raises UserError, and Stopping before it
    serves."""
    with run_directory() as directory:
        if config.tls_cert is not None and config.tls_key is not None:
            bring_certificate(config.tls_cert, config.tls_key, directory)
        driver = start_driver(directory, config)
        reload_by(partial(send_again, driver, read, console))
        with Steps(console) as steps:
            follow(driver, directory, steps)
        announce(config, names, directory, file, console)
        try:
            follow(driver, directory, console)
        except ClusterLost as error:  # it did serve: whoever looks after us starts us again
            raise given_up(error) from None
        except Stopping:
            console.print("stopping")


@contextmanager
def run_directory() -> Iterator[Path]:
    """Where all that a run writes lies. In the end its processes are ended, and it is removed."""
    made: list[Path] = []
    try:
        with undisturbed():  # between making and noting it nobody would know of it
            made.append(environment.make_run_directory())
        yield made[0]
    finally:
        with undisturbed():
            for directory in made:
                end_all(os.getpid(), directory, END_S)
                environment.remove(directory)


def start_driver(directory: Path, config: ClusterConfig) -> "subprocess.Popen[str]":
    """The process that holds Ray. It has a session: the terminal's Ctrl-C is for us alone."""
    with (directory / LOG).open("w") as log:
        driver = subprocess.Popen(
            [sys.executable, "-m", "raylax.cluster.startup.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            env=environment.for_ray(directory),
        )
    send(driver, config)
    return driver


def send(driver: "subprocess.Popen[str]", config: ClusterConfig) -> None:
    """A line of JSON, which it waits for. Raises OSError if it is gone."""
    assert driver.stdin is not None
    driver.stdin.write(config.model_dump_json() + "\n")
    driver.stdin.flush()


def send_again(
    driver: "subprocess.Popen[str]", read: Callable[[], ClusterConfig], console: Console
) -> None:
    """The configuration as it is now. A mistake in it is shown, and changes nothing."""
    try:
        config = read()
    except UserError as error:
        refuse(str(error), console)
        return
    console.print("applying the configuration as it is now")
    with suppress(OSError):  # the driver is gone, which is noticed elsewhere
        send(driver, config)


def refuse(why: str, console: Console) -> None:
    """Say that a change changes nothing."""
    console.print(f"[bold red]not applied:[/] {escape(why)}", highlight=False, soft_wrap=True)


def follow(driver: "subprocess.Popen[str]", directory: Path, shown: Steps | Console) -> None:
    """Show what the driver says: steps until it is ready, and then what becomes of changes. Raises
    UserError, ClusterLost with the log, or RuntimeError for a bug."""
    assert driver.stdout is not None
    for line in driver.stdout:
        match json.loads(line):
            case {"step": [lane, step, fraction]} if isinstance(shown, Steps):
                shown.show(lane, step, fraction)
            case {"ready": _}:
                return
            case {"applied": _} if isinstance(shown, Console):
                shown.print("applied")
            case {"refused": why} if isinstance(shown, Console):
                refuse(why, shown)
            case {"error": message}:
                raise UserError(message)
            case {"lost": why}:
                raise ClusterLost(f"the cluster did not start: {why}", log_of(directory))
            case {"fault": text}:
                raise RuntimeError(text)
    log = log_of(directory)
    raise ClusterLost(f"the cluster has ended: {reason_of(log) or 'it said nothing'}", log)


def log_of(directory: Path) -> str:
    """What the driver has logged; its file goes with the run."""
    return (directory / LOG).read_text(errors="replace")


def given_up(lost: ClusterLost) -> UserError:
    """What is raised where no other start follows. The log lies in a file of its own, readable by
    us alone."""
    file, name = tempfile.mkstemp(prefix="raylax-log-", suffix=".txt")
    with os.fdopen(file, "w") as out:
        out.write(lost.log)
    return UserError(f"{lost}; its log: {name}")


def announce(
    config: ClusterConfig, names: list[str], directory: Path, file: Path | None, console: Console
) -> None:
    """Says where it serves, with a request to paste, and how it is told to change and to stop."""
    asked: dict[str, object] = {"model": names[0]} if len(names) > 1 else {}
    asked["messages"] = [{"role": "user", "content": "What is 2 + 2?"}]
    http, grpc = escape(f"{config.url}/v1"), escape(config.grpc_address)
    console.print(
        f"\n[bold green]raylax serves {escape(', '.join(names))}[/] at [bold]{http}[/] "
        f"and gRPC [bold]{grpc}[/]\n",
        highlight=False,
        soft_wrap=True,
    )
    asks = shlex.quote(f"{config.url}/v1/chat/completions")
    print(f"    curl {asks} -H 'Content-Type: application/json' \\")
    print(f"      -d {shlex.quote(json.dumps(asked))}\n", flush=True)
    logs = directory / "session_latest" / "logs"
    console.print(f"Logs: {logs} while it runs", highlight=False, soft_wrap=True)
    if file is not None:
        console.print(f"kill -USR1 {os.getpid()} applies changes of {file}", highlight=False)
    console.print("Ctrl-C stops it.", highlight=False)
