"""What a process of a run logs is in its file at once, and no more than has its bounds."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from raylax.cluster import process_log
from raylax.cluster.environment import empty, logs_of, ray_directory
from raylax.cluster.process_log import MOST_FILES, last_words, log_to_a_file, trouble_of
from raylax.cluster.startup.driver_process import LOG, Driver

NO_MEMORY = "it found no more memory"
SIGABRT = "*** SIGABRT received at time=1795956984 on cpu 0 ***\n"


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Path]:
    """A run's directory, into which this process logs."""
    root, ours = logging.getLogger(), logging.getLogger("raylax")
    before, level = list(root.handlers), ours.level
    log_to_a_file(tmp_path)
    yield tmp_path
    ours.setLevel(level)
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()


def test_a_line_is_there_at_once_with_its_level(logged: Path) -> None:
    """Without Serve's buffer; of a library's what is a warning."""
    assert not logs_of(logged).exists()
    logging.getLogger("raylax.router").info("refused")
    logging.getLogger("raylax.worker").warning("a warning")
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").error("never retrieved")
    (path,) = logs_of(logged).iterdir()

    assert path.name == f"helper-{os.getpid()}.log"
    lines = path.read_text().splitlines()
    assert [line.partition("Z ")[2] for line in lines] == [
        "INFO raylax.router: refused",
        "WARNING raylax.worker: a warning",
        "ERROR asyncio: never retrieved",
    ]


def test_a_file_is_named_by_what_its_process_is_for(tmp_path: Path) -> None:
    script = (
        "import logging, sys; from pathlib import Path;"
        "from setproctitle import setproctitle; setproctitle('ray::ServeReplica:raylax:Worker');"
        "from raylax.cluster.process_log import log_to_a_file; log_to_a_file(Path(sys.argv[1]));"
        "logging.getLogger('raylax.worker').error('it failed')"
    ).replace("from setproctitle import setproctitle", "from ray._raylet import setproctitle")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)

    (path,) = logs_of(tmp_path).iterdir()
    assert path.name.startswith("worker-")


def test_nothing_grows_without_end(logged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file and an older one, and so many files."""
    logs_of(logged).mkdir()
    for n in range(MOST_FILES + 9):
        path = logs_of(logged) / f"worker-{n}.log"
        path.write_text("x")
        os.utime(path, (n, n))
    (handler,) = (h for h in logging.getLogger().handlers if isinstance(h, process_log.ProcessLog))
    handler.maxBytes = 1000
    for _ in range(100):
        logging.getLogger("raylax").info("x" * 100)

    files = sorted(logs_of(logged).iterdir(), key=lambda path: path.stat().st_mtime)
    assert len(files) == MOST_FILES + 1
    assert sum(path.stat().st_size for path in files[-2:]) <= 2000
    assert files[0].name == "worker-10.log"


def test_a_full_disk_costs_lines_alone(logged: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs_of(logged).touch()  # no directory can be made
    logging.getLogger("raylax").error("lost")
    assert capfd.readouterr() == ("", "")
    logs_of(logged).unlink()
    logging.getLogger("raylax").error("kept")

    assert "kept" in last_words(logged)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("most_bytes", [0, 500, 20_000])
def test_a_disk_that_fills_meanwhile_costs_lines_alone(
    most_bytes: int, logged: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where a file was to make place for the next one; what is unwritten has a bound."""
    log = logging.getLogger("raylax")
    (handler,) = (h for h in logging.getLogger().handlers if isinstance(h, process_log.ProcessLog))
    log.error("before")
    handler.maxBytes = most_bytes
    assert handler.stream is not None
    file, full = os.dup(handler.stream.fileno()), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handler.stream.fileno())
    for _ in range(200):
        log.error("lost " * 20)
    if handler.stream is not None:
        os.dup2(file, handler.stream.fileno())
    os.close(file)
    os.close(full)
    log.error("after")

    assert capfd.readouterr() == ("", "")
    kept = last_words(logged)
    assert "before" in kept and "after" in kept
    assert kept.count("lost") <= 20 * 100


def test_the_log_that_is_shown_has_the_reason_of_who_died(logged: Path) -> None:
    """Also after the next start, of which nothing else is left."""
    logging.getLogger("raylax.worker").error("the engine thread has failed")
    (logged / LOG).write_text("what the driver said")
    empty(logged)
    (logged / LOG).write_text("what the driver said")
    process = subprocess.Popen(["true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process, pytest.raises(Exception, match="the cluster has ended") as raised:
        list(Driver(process, cast(Any, None), logged).events())

    assert "the engine thread has failed" in raised.value.log  # type: ignore[attr-defined]
    assert "what the driver said" in raised.value.log  # type: ignore[attr-defined]


def test_the_last_error_of_a_process_is_its_trouble(logged: Path) -> None:
    """If it is a recent one."""
    log = logging.getLogger("raylax.worker")
    assert not trouble_of(logged, os.getpid())
    log.error("first")
    log.error("second\nTraceback: of it")
    log.warning("a warning")
    assert trouble_of(logged, os.getpid()) == "second"
    assert not trouble_of(logged, os.getpid() + 1)

    (path,) = logs_of(logged).iterdir()
    text = path.read_text().splitlines()
    path.write_text("\n".join(line.replace("20", "19", 1) for line in text if "ERROR" in line))
    assert not trouble_of(logged, os.getpid())


@pytest.mark.parametrize(
    ("written", "trouble"),
    [
        ("", ""),
        ("a warning of some library\n", ""),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n", NO_MEMORY),
        ("[low_level_alloc.cc : 569] RAW: mmap error: 12\n" + SIGABRT * 20_000, NO_MEMORY),
        ("MemoryError\n", NO_MEMORY),
        ("x" * 100_000 + SIGABRT, "it ended by SIGABRT"),
        ("Fatal Python error: Segmentation fault\n\nThread 0x7", "it ended by Segmentation fault"),
        ("RAW: mmap error: 120\n", ""),
    ],
)
def test_who_could_not_log_any_more_may_have_said_it_elsewhere(
    written: str, trouble: str, tmp_path: Path
) -> None:
    """A library that ends a process writes to its standard error, which Ray keeps."""
    (logs := ray_directory(tmp_path) / "session_latest" / "logs").mkdir(parents=True)
    (logs / "worker-0fe0d17d-01000000-77.err").write_text(f":job_id:01000000\n{written}")
    (logs / "worker-0fe0d17d-01000000-777.err").write_text(SIGABRT)

    assert trouble_of(tmp_path, 77) == trouble
