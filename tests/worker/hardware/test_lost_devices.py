"""A GPU that is lost again and again is tried before it is used."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylax.kernels.cuda import driver
from raylax.worker.errors import ConfigError
from raylax.worker.hardware import lost_devices
from raylax.worker.hardware.lost_devices import (
    WITHIN_S,
    check_answers,
    directory_of,
    losses,
    note,
)
from tests.support.cuda_fake.machine import environment, make_driver
from tests.support.paths import ROOT

GPU = "GPU-00000000-0000-0000-0000-000000000001"
NOW = 1_000_000.0


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Numbers of processes, each of which this one then is; the store is its own."""
    monkeypatch.setenv("RAYLAX_STORE", str(tmp_path / "store"))

    def become() -> Iterator[int]:
        for pid in range(100, 200):
            monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
            yield pid

    return become()


def test_each_process_counts_once_and_for_a_while(processes: Iterator[int]) -> None:
    assert losses(GPU, NOW) == 0
    next(processes)
    note(GPU, NOW)
    note(GPU, NOW + 1)
    assert losses(GPU, NOW + 2) == 1

    next(processes)
    note(GPU, NOW + 300)
    assert losses(GPU, NOW + 301) == 2
    assert losses("GPU-another", NOW + 301) == 0
    assert losses(GPU, NOW + WITHIN_S + 2) == 1

    next(processes)
    note(GPU, NOW + 5 * WITHIN_S)
    assert len(list(directory_of(GPU).iterdir())) == 1, "what is long ago is not kept"
    assert directory_of(GPU).stat().st_mode & 0o77 == 0


def test_only_one_that_was_lost_twice_is_tried(
    processes: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers is used, one that does not is refused by name."""
    monkeypatch.setattr(driver, "uuid", lambda index: GPU)
    tried, silence = list[int](), "CUDA: it is gone"

    def silence_of(index: int) -> str | None:
        tried.append(index)
        return silence

    monkeypatch.setattr(lost_devices, "silence_of", silence_of)
    check_answers("cpu")
    check_answers("cuda:0")
    next(processes)
    note(GPU)
    check_answers("cuda:0")
    assert tried == []

    next(processes)
    note(GPU)
    with pytest.raises(ConfigError, match=f"{GPU} was lost 2 times within 10 minutes and does not"):
        check_answers("cuda:0")
    monkeypatch.setattr(lost_devices, "silence_of", lambda index: None)
    check_answers("cuda:0")


@pytest.mark.parametrize(
    ("lost", "limit_s", "said"),
    [
        ("", 60, None),
        ("214", 60, "CUDA: cudaMalloc: uncorrectable ECC error encountered (214)"),
        ("", 0.01, "nothing came within 0 s"),
    ],
)
def test_one_answers_when_it_does_what_it_is_told(
    tmp_path: Path, lost: str, limit_s: float, said: str | None
) -> None:
    """Asked by a process that hangs in its place."""
    try:
        make_driver(tmp_path)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    more = {}
    if lost:
        (tmp_path / "lost").write_text(lost)
        more["RAYLAX_FAKE_LOST"] = str(tmp_path / "lost")
    code = (
        "import json; from raylax.worker.hardware import lost_devices as l; "
        f"l.ANSWER_S = {limit_s}; print(json.dumps(l.silence_of(0)))"
    )
    environ = environment(tmp_path, [], **more)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == said


def test_a_store_that_cannot_be_written_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAYLAX_STORE", str(tmp_path / "file"))
    note(GPU)

    assert losses(GPU) == 0
