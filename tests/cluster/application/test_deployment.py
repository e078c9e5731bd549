"""A configuration that is applied to a cluster which serves; Ray itself is not started."""

from types import SimpleNamespace
from typing import Any

import pytest

from raylax.cluster.application.deployment import check_change, wait_until_running
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError, reason_of

FAILED = """\
The deployment failed to start 3 times in a row. This may be due to a problem with its constructor \
or initial health check failing. See controller logs for details. Error:
ray::ServeReplica:raylax:Router.initialize_and_get_metadata() (pid=1, ip=127.0.0.1)
  File "/site-packages/ray/serve/_private/replica.py", line 1, in initialize_and_get_metadata
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "/site-packages/raylax/router/grpc_server.py", line 1, in serve_grpc
    port = server.add_insecure_port(address)
RuntimeError: Failed to bind to address 127.0.0.1:9000
"""


def test_the_reason_is_what_the_replica_raised() -> None:
    """Below all that Ray and Serve say of it."""
    assert reason_of(FAILED) == "RuntimeError: Failed to bind to address 127.0.0.1:9000"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 8001}, "port changes with a new start only: it is 8000, found 8001"),
        ({"host": "0.0.0.0"}, "host changes with a new start only: it is 127.0.0.1, found 0.0.0.0"),
        ({"max_replicas": 4}, "there may be 2 ranks of workers until a new start"),
    ],
)
def test_what_needs_a_new_start_is_refused(
    change: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other processes were started with, and more workers than Ray would find a core for."""
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: 2)
    with pytest.raises(UserError, match=said):
        check_change(ClusterConfig(), ClusterConfig.model_validate(change))


def test_a_cluster_with_keys_is_not_opened_by_a_change() -> None:
    """A file that is half written has none."""
    key = {"name": "alice", "sha256": "0" * 64}
    locked = ClusterConfig.model_validate({"keys": [key]})
    with pytest.raises(UserError, match="keys: there are none any more, of 1"):
        check_change(locked, ClusterConfig())

    check_change(ClusterConfig(), locked)


def test_everything_else_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: 2)
    change = {"replicas": 2, "policy": "random", "limits": {"max_inflight": 1}, "model": "other"}

    check_change(ClusterConfig(), ClusterConfig.model_validate(change))


def application(status: str, message: str = "", **deployments: tuple[str, str]) -> SimpleNamespace:
    """What Serve says of one."""
    parts = {
        name: SimpleNamespace(status=state, message=text)
        for name, (state, text) in deployments.items()
    }
    return SimpleNamespace(status=status, message=message, deployments=parts)


def test_a_start_ends_when_a_replica_could_not_be_made() -> None:
    """With its reason, in a line, by the name that clients know."""
    seen = [
        application("DEPLOYING", Worker_x=("UPDATING", "")),
        application(
            "DEPLOY_FAILED", "x", Worker_x=("DEPLOY_FAILED", FAILED), Router=("HEALTHY", "")
        ),
    ]
    with pytest.raises(UserError) as caught:
        wait_until_running(lambda: seen.pop(0), {"Worker_x": "模型"}, 60, every_s=0)

    assert str(caught.value) == (
        "the application did not start: the workers of 模型: RuntimeError: Failed to bind to "
        "address 127.0.0.1:9000"
    )


def test_a_start_whose_replicas_never_come_ends_in_time() -> None:
    """As those that no node has room for: Serve itself would wait for ever."""
    waits = application(
        "DEPLOYING", Worker=("UPDATING", "no node has 9 CPUs"), Metrics=("HEALTHY", "")
    )
    with pytest.raises(UserError) as caught:
        wait_until_running(lambda: waits, {"Worker": "m"}, 0.01, every_s=0.001)

    assert str(caught.value) == (
        "the application did not start within limits.startup_timeout_s=0.01: the workers of m: no "
        "node has 9 CPUs"
    )


def test_an_application_that_runs() -> None:
    seen = [application("DEPLOYING"), application("RUNNING")]
    wait_until_running(lambda: seen.pop(0), {}, 60, every_s=0)

    assert not seen
