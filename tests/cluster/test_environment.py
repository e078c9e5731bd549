"""What a run writes, and where: all of it below one directory of our own."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from raylax.cluster import environment
from raylax.cluster.errors import UserError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def test_a_run_leaves_to_the_next_one_what_clients_come_back_to(tmp_path: Path) -> None:
    """And nothing else."""
    for name in ("answers", "session_1/logs"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    (tmp_path / "token").touch()
    (tmp_path / "session_latest").symlink_to(tmp_path / "session_1")
    environment.empty(tmp_path)

    left = [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))]
    assert left == ["answers", "answers/file"]


def test_only_we_can_join_a_cluster(directory: Path) -> None:
    """Each run has a secret of its own, in a file that others cannot read."""
    token = Path(environment.for_ray(directory)["RAY_AUTH_TOKEN_PATH"])
    assert token == environment.token_of(directory)
    first = token.read_text()
    environment.for_ray(directory)

    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(first) == 64
    assert token.read_text() != first


def test_every_file_lies_in_the_runs_directory(directory: Path) -> None:
    set_by_us = {
        name: value
        for name, value in environment.for_ray(directory).items()
        if os.environ.get(name) != value
    }
    paths = {name: value for name, value in set_by_us.items() if "/" in value}

    assert {"RAY_TMPDIR", "TMPDIR", *environment.HAPROXY_FILES} <= paths.keys()
    assert all(Path(path).is_relative_to(directory) for path in paths.values())


def test_our_own_environment_stays_as_it_is(directory: Path) -> None:
    before = dict(os.environ)
    environment.for_ray(directory)

    assert dict(os.environ) == before


@pytest.mark.parametrize("way", [["-c", "import json"], ["-m", "json.tool", "/dev/null", "-"]])
def test_no_module_is_taken_from_where_the_command_was_typed(
    way: list[str], directory: Path
) -> None:
    """Somebody else may have put it there."""
    (directory / "cwd").mkdir()
    (directory / "cwd" / "json.py").write_text("print('planted')")
    ours = environment.for_ray(directory)
    said = [
        subprocess.run(
            [sys.executable, *way], env=env, cwd=directory / "cwd", capture_output=True, text=True
        ).stdout
        for env in ({**ours, "PYTHONSAFEPATH": ""}, ours)
    ]

    assert "planted" in said[0]
    assert "planted" not in said[1]


def test_nothing_is_told_to_anybody(directory: Path) -> None:
    assert environment.for_ray(directory)["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", 60),
        ("RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S", 30),
        ("RAY_SERVE_HAPROXY_STARTUP_TIMEOUT_S", 60),
        ("RAY_WORKER_PROCESS_SETUP_HOOK_LOAD_TIMEOUT", 120),
        ("RAY_agent_register_timeout_ms", 100_000),
        ("RAY_gcs_rpc_server_connect_timeout_s", 60),
        ("RAY_gcs_server_port_wait_time_s", 120),
        ("RAY_py_gcs_connect_timeout_s", 120),
        ("RAY_worker_register_timeout_seconds", 120),
    ],
)
def test_what_comes_up_at_a_start_may_take_its_time(
    name: str, least: int, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Ray's own patience of seconds a busy machine lost every second start. Nor does a shorter
    one of the user's environment come through."""
    monkeypatch.setenv(name, "1")

    assert int(environment.for_ray(directory)[name]) >= least


def test_two_clusters_on_a_machine_keep_apart(directory: Path) -> None:
    ports = [environment.for_ray(directory)[name] for name in environment.INNER_PORTS]

    assert len(set(ports)) == len(environment.INNER_PORTS)


def test_the_directory_is_private_and_goes() -> None:
    made = environment.make_run_directory()
    (made / "session" / "logs").mkdir(parents=True)

    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    environment.remove(made)
    assert not made.exists()
    environment.remove(made)


@pytest.mark.parametrize("length", [environment.LONGEST_PARENT + 1, 20, 60])
def test_sockets_fit_into_a_long_temporary_directory(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie far below it, and must have short paths."""
    long = Path(tempfile.mkdtemp(prefix="x" * (length - len("/tmp/12345678")), dir="/tmp"))
    assert len(str(long)) == length
    monkeypatch.setattr("tempfile.tempdir", str(long))
    made = environment.make_run_directory()
    environment.remove(made)
    environment.remove(long)
    rays = "ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
    haproxys = f"{'0' * 56}/admin.sock"

    assert len(f"{made}/{rays}") <= 107
    assert len(f"{made}/{haproxys}") <= 97


@pytest.mark.parametrize("mode", [0o777, 0o707])
def test_no_place_is_used_where_another_user_could_exchange_it(
    mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it short or not: all may write there, and rename what is not theirs."""
    open_to_all = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    open_to_all.chmod(mode)
    monkeypatch.setattr("tempfile.tempdir", str(open_to_all))
    made = environment.make_run_directory()
    environment.remove(made)
    environment.remove(open_to_all)

    assert made.parent == Path("/tmp")


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes files of another user")
def test_no_place_of_another_user_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    os.chown(theirs, 65534, 65534)
    monkeypatch.setattr("tempfile.tempdir", str(theirs))
    made = environment.make_run_directory()
    environment.remove(made)
    environment.remove(theirs)

    assert made.parent == Path("/tmp")


def test_without_any_safe_place_there_is_no_run(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which part is at fault, and why."""
    directory.chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    monkeypatch.setattr(environment, "ALWAYS_THERE", directory)

    with pytest.raises(UserError, match=rf"no other user .* {directory} can be written by other"):
        environment.make_run_directory()
    assert list(directory.iterdir()) == []


def test_a_short_temporary_directory_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(short))
    made = environment.make_run_directory()
    environment.remove(short)

    assert made.parent == short


def test_a_run_does_not_begin_on_a_full_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray would wait long, and then not know why."""
    full = os.statvfs_result((4096, 4096, 10**6, 300, 300, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp")
    with pytest.raises(UserError, match="/tmp: 64 MiB are needed, 1 MiB are free; TMPDIR names"):
        environment.make_run_directory()
