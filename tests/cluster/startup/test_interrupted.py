"""A start that does not reach its end: by Ctrl-C, by a mistake, by a lost terminal."""

import signal
import socket
from pathlib import Path

import pytest

from raylax.cluster.supervision.processes import running
from tests.support.cluster_serving import (
    START_S,
    STOP_S,
    Serving,
    serving,
    until,
)

pytestmark = pytest.mark.cluster


def nothing_is_left_of(made: Serving, started: set[int]) -> bool:
    return not running(started) and not list(made.temporary.iterdir())


@pytest.mark.parametrize(
    "step", ["reading the model", "starting the front door", "starting router, worker and metrics"]
)
def test_ctrl_c_during_the_start(checkpoint: Path, step: str) -> None:
    """In any phase: soon, without a traceback, and nothing is left."""
    with serving(str(checkpoint)) as made:
        made.wait_until_it_says(step)
        started = made.pids()
        seconds = made.interrupt()

        assert seconds < STOP_S
        assert made.command.returncode == 130
        assert nothing_is_left_of(made, started)
        assert "Traceback" not in made.output
        assert "raylax serves" not in made.output


def test_a_mistake_that_only_the_build_finds(checkpoint: Path, tmp_path: Path) -> None:
    """One line that says how much memory is needed; Ray, by then starting, is gone."""
    config = tmp_path / "raylax.yaml"
    config.write_text("engine: {max_total_sequence_length: 2000000000}")
    with serving(str(checkpoint), "--config", str(config)) as made:
        made.command.wait(START_S)
        last = made.output.splitlines()[-1]

        assert made.command.returncode == 1
        assert last.startswith("error: KV memory: ")
        assert "needs" in last and "MiB" in last
        assert "Traceback" not in made.output
        assert list(made.temporary.iterdir()) == []


def test_a_port_cannot_be_taken_meanwhile(checkpoint: Path) -> None:
    """It is held from the first look on, before anybody serves there."""
    with serving(str(checkpoint)) as made:
        made.wait_until_it_says("reading the model")
        for port in (made.port, made.grpc_port):
            with pytest.raises(OSError, match="Address already in use"):
                socket.create_server(("127.0.0.1", port))


def test_a_killed_command_takes_the_cluster_along(checkpoint: Path) -> None:
    """Nobody is left to clean up, but the driver notices."""
    with serving(str(checkpoint)) as made:
        made.wait_until_it_says("starting the front door")
        started = made.pids()
        made.command.send_signal(signal.SIGKILL)

        until(lambda: nothing_is_left_of(made, started), STOP_S)
