"""The life of `raylax join`: look whether this machine fits, join, stay until told to leave."""

import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from raylax.cluster import environment
from raylax.cluster.cluster_secret import read
from raylax.cluster.config.machines import Place, machine_of, place_of
from raylax.cluster.errors import ClusterLost, UserError
from raylax.cluster.joining.checks import check_fits
from raylax.cluster.joining.node import Task
from raylax.cluster.membership.said import Joined
from raylax.cluster.membership.visit import NobodyThere, Visit, visit
from raylax.cluster.ports import check_free
from raylax.cluster.startup.driver_process import Driver, start_process
from raylax.cluster.startup.machine import check_open_files
from raylax.cluster.startup.progress import Steps
from raylax.cluster.startup.runs import given_up, run_directory
from raylax.cluster.startup.signals import Stopping, ignore_signals, stop_on_signals
from raylax.cluster.supervision.processes import (
    adopt_orphans,
    all_processes,
    collect,
    end_all,
)

END_S = 4.0
LEAVE_S = 4.0
"""For what is computed here to move on, as from any machine that is taken away."""
COME_BACK_S = 180.0
"""A cluster that has lost a part is started again as a whole: a minute on a busy machine."""
ASK_EVERY_S = 1.0


def join_typed(cluster: str, secret_file: Path, address: str | None, console: Console) -> None:
    """As `join`, with addresses as people write them."""
    try:
        place, own = place_of(cluster), None if address is None else machine_of(address)
    except ValueError as error:
        raise UserError(f"an address {error}") from None
    join(place, secret_file, own, console)


def join(place: Place, secret_file: Path, address: str | None, console: Console) -> None:
    """Blocks until a signal. Raises UserError for what the user can mend, and when the cluster has
    ended. `address`: by which the others reach this machine; else the one by which it reaches
    them."""
    machine = Machine(place, read(secret_file), address, console)
    if address is not None:
        check_free(address, 0, "--address")
    check_open_files()
    stop_on_signals()
    try:
        with run_directory() as directory:
            machine.stay(directory)
    except Stopping as stop:
        if not machine.has_joined:
            sys.exit(stop.exit_code)
    finally:
        ignore_signals()


class Machine:
    """This one, of a cluster. Used by one thread, which signals interrupt."""

    def __init__(self, place: Place, secret: str, address: str | None, console: Console) -> None:
        self._place, self._secret, self._address = place, secret, address
        self._console = console
        self.has_joined = False

    def stay(self, directory: Path) -> None:
        """Joins, and again when the cluster has been started again. Raises UserError."""
        until = 0.0
        while True:
            try:
                visited = visit(self._place, self._secret, self._address)
            except NobodyThere as error:
                if not self.has_joined:
                    raise
                if time.monotonic() > until:
                    raise UserError(f"the cluster at {self._place} has ended: {error}") from None
                time.sleep(ASK_EVERY_S)
                continue
            try:
                self._be_a_part(visited, directory)
            except ClusterLost as lost:
                if not self.has_joined:
                    raise given_up(lost) from None
                self._console.print(f"[yellow]joining again:[/] {escape(str(lost))}")
            finally:
                visited.lines.close()
                end_all(os.getpid(), directory, END_S)
                collect(all_processes(), os.getpid(), os.getpid())
                environment.empty(directory)
            until = time.monotonic() + COME_BACK_S

    def _be_a_part(self, visited: Visit, directory: Path) -> None:
        """Until it is over. Raises UserError, ClusterLost."""
        with Steps(self._console) as steps:
            steps.show("model", "comparing this machine with the cluster")
            check_fits(visited)
        adopt_orphans()
        welcome, own = visited.welcome, visited.address
        env = environment.for_ray(directory, (own,), self._secret)
        task = Task(welcome=welcome, address=own)
        node = start_process("raylax.cluster.joining.node", directory, env, task)
        joined = self._start(node)
        try:
            visited.lines.write(joined.model_dump_json())
        except OSError:
            raise self._gone() from None
        self.has_joined = True
        names = ", ".join(model.name for model in welcome.models)
        self._console.print(
            f"[bold green]this machine, {own}, has joined {self._place}[/] and takes workers of "
            f"{escape(names)}\nCtrl-C leaves it.",
            highlight=False,
            soft_wrap=True,
        )
        try:
            self._watch(node, visited)
        except Stopping:
            self._leave(node)
            raise

    def _start(self, node: Driver) -> Joined:
        """Shows the steps until Ray has the machine."""
        with Steps(self._console) as steps:
            for event in node.events():
                match event:
                    case {"step": [lane, step, fraction]}:
                        steps.show(lane, step, fraction)
                    case {"joined": said}:
                        return Joined.model_validate(said)
        raise AssertionError("events end with an error")

    def _watch(self, node: Driver, visited: Visit) -> None:
        """Until one of the two is gone. Raises ClusterLost."""

        def look() -> None:
            collect(all_processes(), os.getpid(), node.pid)
            node.zygote.look()
            if visited.lines.has_ended():
                raise self._gone()

        for _ in node.events(look, ASK_EVERY_S):
            pass

    def _gone(self) -> ClusterLost:
        return ClusterLost(f"the cluster at {self._place} has gone")

    def _leave(self, node: Driver) -> None:
        """What is computed here moves on, unless somebody is in a hurry."""
        self._console.print("leaving; Ctrl-C again does so at once", highlight=False)
        stop_on_signals()
        deadline = time.monotonic() + LEAVE_S

        def look() -> None:
            if time.monotonic() > deadline:
                raise TimeoutError

        try:
            node.say_no_more()
            for event in node.events(look, 0.1):
                if "left" in event:
                    return
        except (Stopping, TimeoutError, UserError, OSError):
            return
        finally:
            ignore_signals()
