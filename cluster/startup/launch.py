"""The life of `raylax serve`: check, start, serve until told to stop, leave nothing."""

import os
import shlex
import sys
from collections.abc import Callable
from json import dumps
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from raylax.cluster import environment
from raylax.cluster.cluster_secret import read_or_make
from raylax.cluster.config import machines
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.models.checks import (
    check_models,
    images_unread,
    precision_lost,
    unused_gpu,
)
from raylax.cluster.models.lookup import fetch_models, find_models
from raylax.cluster.ports import held
from raylax.cluster.startup.machine import check_machine
from raylax.cluster.startup.privacy import opened_by_files
from raylax.cluster.startup.progress import Steps
from raylax.cluster.startup.runs import Runs
from raylax.cluster.startup.signals import Stopping, ignore_signals, stop_on_signals

OPEN = "warning: everybody who reaches {} may ask: there are no API keys; see `raylax key`"


def serve(read: Callable[[], ClusterConfig], file: Path | None, console: Console) -> None:
    """Blocks until a signal. Raises UserError for what the user can mend. Reads again when it is
    told that its file has changed."""
    with Steps(console) as steps:
        config = fetch_models(read(), steps.audience("model"))
    check_models(models := find_models(config))
    names = [model.name for model in models]
    if config.open_to_all:
        console.print(OPEN.format(config.host), style="yellow", highlight=False, soft_wrap=True)
    of_each = (note(model) for model in models for note in (images_unread, precision_lost))
    for note in filter(None, (unused_gpu(models), *of_each)):
        console.print(
            f"note: {note}", style="yellow", highlight=False, markup=False, soft_wrap=True
        )
    for way_in in ways_in(config, file):
        console.print(f"warning: {escape(way_in)}", style="yellow", highlight=False, soft_wrap=True)
    check_machine(config)
    if config.cluster_secret is not None:
        read_or_make(config.cluster_secret)

    def tell(served: ClusterConfig, directory: Path) -> None:
        announce(served, names, directory, file, console)

    runs = Runs(config, read, tell, console)
    stop_on_signals()
    try:
        with held(config.host, (config.port, config.grpc_port)):
            runs.keep_serving()
    except Stopping as stop:
        console.print("stopping")
        if not runs.have_served:
            sys.exit(stop.exit_code)
    finally:
        ignore_signals()


def ways_in(config: ClusterConfig, file: Path | None) -> list[str]:
    """Files of the user's by which somebody else on this machine could let himself in. Root, who
    may serve what a user has set up, is told and not stopped."""
    keys = filter(None, (file, config.api_keys_file, config.tls_cert, config.tls_client_ca))
    return opened_by_files(keys, [] if config.tls_key is None else [config.tls_key])


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
    print(f"      -d {shlex.quote(dumps(asked))}\n", flush=True)
    logs = environment.ray_directory(directory) / "session_latest" / "logs"
    where = f"Logs: {environment.logs_of(directory)}, and Ray's in {logs}, while it runs"
    console.print(where, highlight=False, soft_wrap=True)
    if config.joined_at is not None:
        place, default = config.joined_at, machines.PORT
        at = place.host if place.port == default else str(place)
        told = f"raylax join {at} --secret {shlex.quote(str(config.cluster_secret))}"
        console.print(f"Other machines join by: {escape(told)}", highlight=False, soft_wrap=True)
    may_change = (file, config.api_keys_file, *config.tls_files)
    if files := [str(one) for one in may_change if one is not None]:
        told = f"kill -USR1 {os.getpid()} applies changes of {' and '.join(files)}"
        console.print(escape(told), highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops it.", highlight=False)
