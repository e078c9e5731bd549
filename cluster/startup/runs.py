"""The runs of one `raylax serve`: one, unless a cluster dies while it serves; then another one."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from raylax.cluster import environment
from raylax.cluster.config.reading import with_keys_of
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.environment import entrance_of
from raylax.cluster.errors import ClusterLost, UserError
from raylax.cluster.process_log import trouble_of
from raylax.cluster.ray_patches.tls import bring_certificates
from raylax.cluster.startup.asked import Asked, user
from raylax.cluster.startup.driver import END_S
from raylax.cluster.startup.driver_process import Driver, start_driver
from raylax.cluster.startup.file_watch import FileWatch
from raylax.cluster.startup.privacy_watch import PrivacyWatch
from raylax.cluster.startup.progress import Steps
from raylax.cluster.startup.signals import RELOAD, reload_by, undisturbed
from raylax.cluster.supervision.front_door import FrontDoor
from raylax.cluster.supervision.processes import adopt_orphans, end_all, pids_of_run
from raylax.cluster.supervision.restarts import Restarts
from raylax.cluster.supervision.supervisor import LOOK_EVERY_S, ClusterDied, Supervisor
from raylax.kernels.store import Store

FIRST_STARTS = 2
"""A machine that was too busy for the first one may not be so for the next."""


class Runs:
    """Serves until it is told to stop. Used by one thread, which signals interrupt."""

    def __init__(
        self,
        config: ClusterConfig,
        read: Callable[[], ClusterConfig],
        announce: Callable[[ClusterConfig, Path], None],
        console: Console,
    ) -> None:
        """`read`: gives the configuration as it is now. `announce`: says where it serves, and where
        the run's files lie."""
        self._config, self._read, self._announce = config, read, announce
        self._console = console
        self._by = f"{user()} (raylax serve)"
        self._keys_file = FileWatch()
        self._asked: Asked | None = None
        """What has been asked for by a signal, and neither been applied nor refused yet."""
        self.have_served = False

    def keep_serving(self, clock: Callable[[], float] = time.monotonic) -> None:
        """One run after another. Raises UserError where the user can mend something, and after
        several losses, of starts or of clusters that did serve."""
        with run_directory() as directory:
            self._keep_serving(directory, clock)

    def _keep_serving(self, directory: Path, clock: Callable[[], float]) -> None:
        starts, restarts = Restarts(clock, FIRST_STARTS - 1), Restarts(clock)
        while True:
            try:
                self.run(directory)
            except ClusterLost as lost:
                end_all(os.getpid(), directory, END_S)
                environment.empty(directory)
                if self.have_served and not restarts.take():
                    why = f"{lost}; not started again after {restarts.rule}"
                    raise given_up(ClusterLost(why, lost.log)) from None
                if not self.have_served and not starts.take():
                    raise given_up(lost) from None
                self._say(f"[yellow]starting once more:[/] {escape(str(lost))}")

    def run(self, directory: Path) -> None:
        """A start, and all that follows, for ever. Raises UserError, or ClusterLost: ClusterDied if
        it did serve."""
        config = self._config
        adopt_orphans()
        bring_certificates(config, directory)
        driver = start_driver(directory, Asked(config=config, by=self._by))
        reload_by(lambda: self._apply_changes(driver, directory))
        self._start(driver)
        with front_door(entrance_of(directory)) as door:
            start_s = config.limits.startup_timeout_s
            supervisor = Supervisor(
                door,
                driver.pid,
                lambda: driver.zygote.pid,
                start_s,
                self._note,
                lambda one: trouble_of(directory, one.pid),
            )
            self._announce(config, directory)
            self.have_served = True
            if self._asked is not None:  # while nobody could hear it
                self._tell(driver, self._asked)
            pids = partial(pids_of_run, os.getpid(), directory)
            privacy = PrivacyWatch(directory, config, pids)
            self._serve(driver, supervisor, privacy)

    def _start(self, driver: Driver) -> None:
        """Show the steps of a start, until it serves."""
        with Steps(self._console) as steps:
            for event in driver.events():
                match event:
                    case {"step": [lane, step, fraction]}:
                        steps.show(lane, step, fraction)
                    case {"note": text}:
                        self._note(text)
                    case {"ready": _}:
                        return

    def _serve(self, driver: Driver, supervisor: Supervisor, privacy: PrivacyWatch) -> None:
        """Look after it, and say what becomes of changes."""

        def look() -> None:
            driver.zygote.look()
            supervisor.look()
            for kill in privacy.look(self._note):
                supervisor.end(kill)
            self._look_at_keys(driver)

        try:
            for event in driver.events(look, LOOK_EVERY_S):
                match event:
                    case {"applied": _} if self._asked is not None:
                        self._config, self._by = self._asked.config, self._asked.by
                        self._asked = None
                        self._say("applied")
                    case {"note": text}:
                        self._note(text)
                    case {"refused": why}:
                        self._asked = None
                        self._refuse(why)
        except ClusterDied:
            raise
        except ClusterLost as lost:
            raise ClusterDied(str(lost), lost.log) from None

    def _look_at_keys(self, driver: Driver) -> None:
        if self._asked is None and self._keys_file.changed(self._config.api_keys_file):
            with undisturbed((RELOAD,)):  # which would tell the driver, too
                self._apply_keys(driver)

    def _apply_keys(self, driver: Driver) -> None:
        """The keys of their file as they are now; all else stays, whatever other files say."""
        assert self._config.api_keys_file is not None
        try:
            asked = with_keys_of(self._config.api_keys_file, self._config)
        except UserError as error:
            self._refuse(str(error))
            return
        if asked.keys != self._config.keys:
            self._say(f"applying the keys of {escape(str(asked.api_keys_file))} as they are now")
            by = f"somebody ({asked.api_keys_file})"
            self._tell(driver, Asked(config=asked, by=by))

    def _apply_changes(self, driver: Driver, directory: Path) -> None:
        """The configuration as it is now, and certificates. A mistake there is shown, and changes
        nothing."""
        try:
            asked = self._read()
            if asked.tls_files == self._config.tls_files:  # else it will be refused
                bring_certificates(asked, directory)
        except UserError as error:
            self._refuse(str(error))
            return
        except OSError as error:
            self._refuse(f"certificates could not be taken over: {error}")
            return
        self._say("applying the configuration as it is now")
        self._tell(driver, Asked(config=asked, by=f"{user()} (kill -USR1)"))

    def _tell(self, driver: Driver, asked: Asked) -> None:
        self._asked = asked
        with suppress(OSError):  # it is gone, which is noticed elsewhere
            driver.send(asked)

    def _refuse(self, why: str) -> None:
        self._say(f"[bold red]not applied:[/] {escape(why)}")

    def _note(self, text: str) -> None:
        self._say(f"[yellow]{escape(text)}[/]")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def given_up(lost: ClusterLost) -> UserError:
    """What is raised where no other start follows. The log lies in a file of its own, readable by
    us alone."""
    file, name = tempfile.mkstemp(prefix="raylax-log-", suffix=".txt")
    with os.fdopen(file, "w") as out:
        out.write(lost.log)
    return UserError(f"{lost}; its log: {name}")


@contextmanager
def run_directory() -> Iterator[Path]:
    """Where all that runs write lies, one after another. In the end their processes are ended, and
    it is removed, and so is what they had begun to put into the store."""
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
            with suppress(OSError):
                Store().remove_unfinished()


@contextmanager
def front_door(entrance: Path) -> Iterator[FrontDoor]:
    """Asked from now on until the end."""
    door = FrontDoor(entrance)
    try:
        yield door
    finally:
        door.close()
