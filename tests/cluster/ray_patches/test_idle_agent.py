"""What stands in for Ray's dashboard agent: it has Ray's names, and goes with its raylet."""

import subprocess
import sys
from pathlib import Path

from raylax.cluster.ray_patches import idle_agent
from raylax.cluster.ray_patches.fewer_processes import AGENT, idle
from raylax.cluster.supervision.processes import arguments_of, running
from raylax.cluster.supervision.roles import Role, role_of
from tests.support.cluster_serving import until

PATIENCE_S = 30.0
RAYLET = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:]).pid, flush=True)
sys.stdin.read()
"""
"""Starts a command, and ends when its input does."""


def test_it_says_that_no_port_is_in_use_and_ends_with_its_raylet(tmp_path: Path) -> None:
    """Supervision takes it for the agent."""
    begin = idle(lambda component: [sys.executable, "-u"], AGENT)
    agent = [*begin, "ray/dashboard/agent.py", f"--session-dir={tmp_path}", "--node-id=abc", "--x"]
    command = [sys.executable, "-c", RAYLET, *agent]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as raylet:
        assert raylet.stdout is not None
        pid = int(raylet.stdout.readline())
        files = [tmp_path / f"{name}_abc" for name in idle_agent.PORTS]
        until(lambda: all(file.exists() for file in files), PATIENCE_S)

        assert [file.read_text() for file in files] == ["-1"] * 3
        assert running([pid]) == [pid]
        assert role_of(arguments_of(pid)) is Role.DASHBOARD_AGENT
        raylet.communicate()
        until(lambda: running([pid]) == [], PATIENCE_S)


def test_no_other_part_of_ray_is_left_out() -> None:
    assert idle(lambda component: ["python"], "runtime_env_agent") == ["python"]
