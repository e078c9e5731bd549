"""Cores of one's own: which are chosen, that no two processes have the same, and what is pinned."""

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from raylax.worker.config import EngineConfig
from raylax.worker.hardware.cores import (
    Cores,
    choose,
    claimed,
    physical_cores,
    usable_cores,
)
from tests.support.engines import request, running_engine

PLAIN = [frozenset({core}) for core in range(4)]
THREADED = [frozenset({core, core + 4}) for core in range(4)]
"""Four physical cores of two hardware threads."""
CLAIMER = """
import sys
from raylax.worker.hardware.cores import Cores
cores = Cores()
cores.claim(int(sys.argv[1]), [frozenset({core, core + 4}) for core in range(4)], sys.argv[2])
print(*cores.ids, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Claims beside those of whoever serves on this machine."""
    made = f"raylax/test/{tmp_path}/"[-80:]
    monkeypatch.setattr("raylax.worker.hardware.cores.NAMES", made)
    return made


@pytest.mark.parametrize(
    ("free", "count", "chosen"),
    [
        (PLAIN, 2, [0, 1]),
        (PLAIN[2:], 2, [2, 3]),
        (PLAIN[3:], 2, []),
        ([], 1, []),
        (THREADED, 2, [0, 4]),
        (THREADED, 3, [0, 4, 1]),
        ([{4}, {1, 5}], 2, [1, 5]),
        ([{1, 5}, {2}], 1, [2]),
        ([{0, 4}, {1, 5}, {2}], 3, [0, 4, 2]),
        ([{0}, {5}, {2}], 2, [0, 5]),
        ([{0, 1, 2, 3}, {4, 5, 6, 7}], 2, [0, 1]),
    ],
)
def test_whole_physical_cores_first(
    free: list[Collection[int]], count: int, chosen: list[int]
) -> None:
    """Then the rest of one that somebody has begun; nothing when not all can be had."""
    assert choose(free, count) == chosen


def test_hardware_threads_are_known_by_what_the_system_says(tmp_path: Path) -> None:
    """Both ways of writing them; a core that it does not tell of stands alone."""
    for core, text in {0: "0,4\n", 4: "0,4\n", 1: "1-2\n", 2: "1-2\n"}.items():
        place = tmp_path / f"cpu{core}" / "topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(text)

    assert physical_cores({0, 1, 2, 4, 9}, tmp_path) == [{0, 4}, {1, 2}, {9}]
    assert physical_cores({1, 4}, tmp_path) == [{1}, {4}]


@pytest.mark.parametrize(
    ("quota", "usable"),
    [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("900000 100000", 8)],
)
def test_a_quota_counts_in_cores(
    quota: str, usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    (tmp_path / "cpu.max").write_text(quota + "\n")

    assert usable_cores(tmp_path / "cpu.max") == usable
    assert usable_cores(tmp_path / "none") == 8


@contextmanager
def claimer(count: int, names: str) -> Iterator[tuple[list[int], "subprocess.Popen[str]"]]:
    """A process that has claimed so many of eight cores, of two hardware threads each."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(count), names], stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdout is not None
        yield [int(core) for core in process.stdout.readline().split()], process
        process.kill()


def test_no_two_processes_have_the_same_core(names: str) -> None:
    """And who finds too few has none, so that others may have those."""
    with ExitStack() as stack:
        found = [stack.enter_context(claimer(count, names))[0] for count in (4, 6, 3, 1)]

    assert found == [[0, 1, 4, 5], [], [2, 3, 6], [7]]


def test_a_killed_process_gives_its_cores_back(names: str) -> None:
    with claimer(8, names) as (first, process):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with claimer(8, names) as (second, _):
            pass

    assert first == second == list(range(8))


def test_a_core_that_another_was_faster_to_claim(names: str) -> None:
    """It looked free a moment ago: another one is found."""
    first, second = Cores(), Cores()
    first.claim(1, PLAIN, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raylax.worker.hardware.cores.claimed", lambda names: set())
        second.claim(2, PLAIN, names)
    found = (first.ids, second.ids)
    first.release()
    second.release()

    assert found == ((0,), (1, 2))


def affinities(before: set[str]) -> set[tuple[int, ...]]:
    """Of the threads that are not among those before."""
    tasks = {task.name for task in Path("/proc/self/task").iterdir()} - before
    return {tuple(sorted(os.sched_getaffinity(int(task)))) for task in tasks}


def config(threads: int = 1, pin: bool = True) -> EngineConfig:
    return EngineConfig(
        max_num_sequence=2, max_single_sequence_length=128, threads=threads, pin_threads=pin
    )


def test_the_threads_of_an_engine_keep_to_its_cores(names: str, checkpoint: Path) -> None:
    """Those of the step; the one that hands tokens back runs anywhere, and so do all others."""
    mine = tuple(sorted(os.sched_getaffinity(0)))
    threads = min(2, max(1, len(mine) - 1))
    before = {task.name for task in Path("/proc/self/task").iterdir()}
    with running_engine(checkpoint, config(threads)) as (engine, answers):
        engine.add_request(request("r", [5]))
        answers.wait_for("r")
        cores, pinned, found = engine.cores, engine.config.pin_threads, affinities(before)
        assert claimed(names) == set(cores)

    assert (len(cores), pinned) == (threads, True)
    assert found == {cores, mine}
    assert claimed(names) == set()
    assert os.sched_getaffinity(0) == set(mine)


def test_an_engine_for_which_no_core_is_left(
    names: str, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It runs wherever the system puts it, and says so."""
    mine = os.sched_getaffinity(0)
    before = {task.name for task in Path("/proc/self/task").iterdir()}
    others = Cores()
    others.claim(len(mine), [frozenset(mine)], names)
    with running_engine(checkpoint, config()) as (engine, _):
        said, pinned, found = engine.cores, engine.config.pin_threads, affinities(before)
    others.release()

    assert (said, pinned, found) == ((), False, {tuple(sorted(mine))})
    assert "the engine's threads keep to no cores: it wants 1, 0 are free" in caplog.text


def test_an_engine_that_was_not_asked_to(names: str, checkpoint: Path) -> None:
    """Whoever makes one in a program of his own has other threads to think of."""
    with running_engine(checkpoint, config(pin=False)) as (engine, _):
        assert (engine.cores, engine.config.pin_threads) == ((), False)
        assert claimed(names) == set()
    assert not EngineConfig().pin_threads
