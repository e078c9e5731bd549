"""A real zygote, and programs that say what has become of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax.cluster.environment import RUN_DIRECTORY, for_ray, logs_of
from raylax.cluster.supervision.processes import arguments_of, run_of, running
from raylax.cluster.supervision.restarts import MOST, WITHIN_S
from raylax.cluster.supervision.roles import Role, role_of
from raylax.cluster.zygote import asking
from raylax.cluster.zygote.starting import AS_A_RAYLET_SAYS, LOG, KeptZygote, start_zygote
from tests.support.cluster_serving import until

PATIENCE_S = 120.0
PROGRAM = """
import json, os, sys
from pathlib import Path
from ray._raylet import NodeID, setproctitle
setproctitle("ray::" + "x" * 200)
print(json.dumps({
    "pid": os.getpid(), "parent": os.getppid(), "group": os.getpgid(0), "name": __name__,
    "arguments": sys.argv[1:], "environment": dict(os.environ), "said": sys.stdin.read(),
    "title": Path("/proc/self/cmdline").read_text().rstrip("\\0 "),
    "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
    "id": NodeID.from_random().hex(), "has_serve": "ray.serve" in sys.modules,
}), flush=True)
"""
"""In the place of Ray's program of a worker."""
THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


class Run:
    """A run's directory with a zygote, if there is one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**for_ray(directory), **AS_A_RAYLET_SAYS, "RAY_RAYLET_PID": "7"}
        (directory / "default_worker.py").write_text(PROGRAM)

    def ask(self, *arguments: str, **more: str) -> dict[str, Any]:
        """What the worker says that a raylet starts; `pid` of the process that the raylet has
        started is `asker`."""
        command = [sys.executable, asking.__file__, str(self.directory / "default_worker.py")]
        with subprocess.Popen(
            [*command, *arguments], env={**self.environment, **more}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            text, _ = process.communicate("hear this", timeout=PATIENCE_S)
        assert process.returncode == 0
        said: dict[str, Any] = json.loads(text)
        return {**said, "asker": process.pid}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def zygote(run: Run) -> "Iterator[subprocess.Popen[bytes]]":
    with start_zygote(run.directory, run.environment) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE_S)


def test_a_worker_is_forked_and_is_what_the_raylet_has_started(
    run: Run, zygote: "subprocess.Popen[bytes]"
) -> None:
    """Its program, arguments, variables and files; in a group of its own, with the whole title that
    it gives itself, and with the run's mark. Who asked has gone."""
    said = run.ask("--node-ip-address=127.0.0.2", ONLY_HERE="yes")

    assert (said["parent"], said["name"]) == (zygote.pid, "__main__")
    assert said["pid"] == said["group"] != said["asker"]
    assert (said["arguments"], said["said"]) == (["--node-ip-address=127.0.0.2"], "hear this")
    wanted = {**run.environment, "ONLY_HERE": "yes"}
    assert {name: said["environment"].get(name) for name in wanted} == wanted
    assert said["title"] == "ray::" + "x" * 200
    assert (said["oom"], said["has_serve"]) == ("1000", True)


def test_no_two_workers_draw_the_same_names(run: Run, zygote: "subprocess.Popen[bytes]") -> None:
    """Nothing is drawn before the fork from what they draw from."""
    assert len({run.ask()["id"] for _ in range(3)}) == 3


def test_supervision_knows_it_and_nothing_of_it_is_left(
    run: Run, zygote: "subprocess.Popen[bytes]"
) -> None:
    first = run.ask()

    assert role_of(arguments_of(zygote.pid)) is Role.ZYGOTE
    assert run_of(zygote.pid) == run.directory
    until(lambda: running([first["pid"]]) == [], PATIENCE_S)
    assert not Path(f"/proc/{first['pid']}").exists(), "its parent has let go of it"
    assert (logs_of(run.directory) / LOG).read_text() == ""


def test_it_ends_with_who_has_started_it(run: Run, tmp_path: Path) -> None:
    with start_zygote(run.directory, run.environment) as process:
        run.ask()
        assert process.stdin is not None
        process.stdin.close()

        assert process.wait(PATIENCE_S) == 0


def test_without_a_zygote_the_raylets_process_is_the_worker(run: Run) -> None:
    said = run.ask("--x")

    assert (said["pid"], said["arguments"]) == (said["asker"], ["--x"])


def test_one_that_was_killed_is_not_waited_for(run: Run) -> None:
    """Its socket is still there."""
    with start_zygote(run.directory, run.environment) as process:
        run.ask()
        process.kill()
    said = run.ask()

    assert said["pid"] == said["asker"]


def test_a_process_with_threads_is_not_forked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another thread holds would stay locked in the child."""
    (run.directory / "begins_a_thread.py").write_text(THREAD)
    run.environment["PYTHONPATH"] = os.pathsep.join([str(run.directory), *sys.path])
    monkeypatch.setattr("raylax.cluster.zygote.starting.FIRST", ("begins_a_thread",))
    with start_zygote(run.directory, run.environment) as process:
        said = run.ask()
        process.kill()
    assert "a library has begun a thread" in (logs_of(run.directory) / LOG).read_text()

    assert said["pid"] == said["asker"]


def test_one_whose_children_would_draw_the_same_names_forks_none(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.directory / "draws.py").write_text("import ray; ray.NodeID.from_random()")
    run.environment["PYTHONPATH"] = os.pathsep.join([str(run.directory), *sys.path])
    monkeypatch.setattr("raylax.cluster.zygote.starting.FIRST", ("draws",))
    with start_zygote(run.directory, run.environment) as process:
        said = run.ask()
        process.kill()

    assert said["pid"] == said["asker"]
    assert "has drawn a name" in (logs_of(run.directory) / LOG).read_text()


@pytest.mark.parametrize("name", ["RAY_JOB_ID", "RAY_SERVE_ENABLE_HA_PROXY", "RAY_MORE"])
def test_one_that_ray_says_something_else_is_not_forked(
    name: str, run: Run, zygote: "subprocess.Popen[bytes]"
) -> None:
    """Ray has read its variables by then, and would not hear of it."""
    said = run.ask(**{name: "02000000"})

    assert (said["pid"], said["environment"][name]) == (said["asker"], "02000000")
    zygote.kill()
    assert name in (logs_of(run.directory) / LOG).read_text()


def test_an_environment_of_its_own_is_made_by_ray(run: Run) -> None:
    (run.directory / asking.RAYS_OWN).write_text("import sys\nprint(repr(sys.argv[1:]))")
    command = [
        sys.executable,
        asking.__file__,
        "default_worker.py",
        f"{asking.OWN_ENVIRONMENT}{{}}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=run.directory, check=True)

    assert done.stdout == f"{command[2:]}\n"


def test_its_directory_is_the_runs() -> None:
    """It is named in a file that imports nothing of ours."""
    assert asking.DIRECTORY == RUN_DIRECTORY


def test_another_one_takes_the_place_of_one_that_has_ended(run: Run) -> None:
    """At the same socket; not for ever, where each one ends."""
    now, pids = [0.0], list[int]()
    kept = KeptZygote(run.directory, run.environment, os.getpid(), lambda: now[0])
    for _ in range(MOST):
        pids.append(kept.pid)
        os.kill(kept.pid, signal.SIGKILL)
        until(lambda: looked_at(kept) != pids[-1], PATIENCE_S)

    assert run.ask()["parent"] == kept.pid
    kept.close()
    until(lambda: running([kept.pid]) == [], PATIENCE_S)
    assert looked_at(kept) == looked_at(kept)
    now[0] += WITHIN_S
    last = kept.pid
    assert looked_at(kept) != last
    kept.close()
    kept._process.wait(PATIENCE_S)


def looked_at(kept: KeptZygote) -> int:
    """Its pid after a look."""
    kept.look()
    return kept.pid
