"""What a driver says, and what comes of it. Drivers here are a line of shell each."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from raylax.cluster.errors import ClusterLost, UserError
from raylax.cluster.startup.driver_process import LOG, Driver


@contextmanager
def driver(script: str, directory: Path) -> Iterator[Driver]:
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe) as process:
        yield Driver(process, cast(Any, None), directory)
        process.kill()


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A run's directory, with a log in it."""
    (tmp_path / LOG).write_bytes(b"a traceback\xe9\nraylet was killed\n\n")
    return tmp_path


@pytest.mark.parametrize(
    "script, said",
    [
        ("""echo '{"lost": "the proxy was killed"}'""", "did not start: the proxy was killed$"),
        ("exit 1", "the cluster has ended: raylet was killed$"),
    ],
)
def test_a_cluster_that_is_lost_says_why(script: str, said: str, temporary: Path) -> None:
    with driver(script, temporary) as made, pytest.raises(ClusterLost, match=said) as caught:
        list(made.events())

    assert caught.value.log.startswith("a traceback")


def test_events_that_come_together_are_not_lost(temporary: Path) -> None:
    """Whoever stops listening after one of them hears the next ones later."""
    script = """printf '{"ready": true}\\n{"applied": true}\\n{"err'; echo 'or": "no"}'"""
    with driver(script, temporary) as made:
        first = next(made.events())
        with pytest.raises(UserError, match="^no$"):
            rest = []
            for event in made.events():
                rest.append(event)

    assert (first, rest) == ({"ready": True}, [{"applied": True}])


def test_something_else_is_done_while_it_says_nothing(temporary: Path) -> None:
    class Enough(Exception):
        pass

    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) == 3:
            raise Enough

    with driver("sleep 60", temporary) as made, pytest.raises(Enough):
        list(made.events(look, every_s=0.01))

    assert looks == [0, 1, 2]
