"""What stands in for Ray's agents: it has Ray's names, and goes with its raylet."""

import subprocess
import sys
from pathlib import Path

import pytest

from raylax.cluster.ray_patches import idle_agent
from raylax.cluster.ray_patches.fewer_processes import AGENTS, idle
from raylax.cluster.supervision.processes import arguments_of, running
from raylax.cluster.supervision.roles import Role, role_of
from tests.support.cluster_serving import until

PATIENCE_S = 30.0
DASHBOARD, ENVIRONMENTS = AGENTS
RAYLET = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:]).pid, flush=True)
sys.stdin.read()
"""
"""Starts a command, and ends when its input does."""
NO_PORTS = dict.fromkeys([*idle_agent.PORTS.values()][:3], "-1")


@pytest.mark.parametrize(
    ("component", "program", "told", "role", "known"),
    [
        (
            DASHBOARD, "ray/dashboard/agent.py",
            ["--grpc-port=0", "--metrics-export-port=0", "--listen-port=52365"],
            Role.DASHBOARD_AGENT, NO_PORTS,
        ),
        (
            ENVIRONMENTS, "ray/_private/runtime_env/agent/main.py",
            ["--runtime-env-agent-port=23456"],
            Role.RUNTIME_AGENT, {"runtime_env_agent_port": "23456"},
        ),
    ],
)  # fmt: skip
def test_it_makes_its_ports_known_and_ends_with_its_raylet(
    component: str, program: str, told: list[str], role: Role, known: dict[str, str], tmp_path: Path
) -> None:
    """Those of one are not in use, that of the other is the one that Ray has chosen. Supervision
    takes it for the agent."""
    begin = idle(lambda component: [sys.executable, "-u"], component)
    agent = [*begin, program, f"--session-dir={tmp_path}", "--node-id=abc", *told, "--x"]
    command = [sys.executable, "-c", RAYLET, *agent]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as raylet:
        assert raylet.stdout is not None
        pid = int(raylet.stdout.readline())
        until(lambda: len(written(tmp_path)) == len(known), PATIENCE_S)

        assert written(tmp_path) == known
        assert running([pid]) == [pid]
        assert role_of(arguments_of(pid)) is role
        raylet.communicate()
        until(lambda: running([pid]) == [], PATIENCE_S)


def written(directory: Path) -> dict[str, str]:
    """Ports by name."""
    return {
        file.name.removesuffix("_abc"): file.read_text() for file in directory.glob("*_port_abc")
    }


def test_no_other_part_of_ray_is_left_out() -> None:
    assert idle(lambda component: ["python"], "raylet") == ["python"]
