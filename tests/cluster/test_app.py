"""What Ray Serve is told; Ray itself is not started."""

from pathlib import Path

import pytest

from raylax.cluster.config import ClusterConfig
from raylax.cluster.placement import cpus_of_a_worker


@pytest.mark.parametrize(
    ("cores", "replicas", "most", "threads"),
    [(8, 1, None, 8), (8, 2, None, 4), (8, 1, 4, 2), (2, 1, 8, 1), (3, 2, None, 1)],
)
def test_workers_share_the_cores(
    cores: int, replicas: int, most: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if there were as many as there may be: none gets less when another comes."""
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: cores)

    assert cpus_of_a_worker(ClusterConfig(replicas=replicas, max_replicas=most)) == threads


# Ray 2.60 and its dependencies warn of each other when imported
@pytest.mark.filterwarnings("ignore")
def test_serve_scales_by_our_policy() -> None:
    """Between the configured numbers, with the configured thresholds."""
    from raylax.cluster.app import autoscaling

    values = {"replicas": 2, "max_replicas": 5, "autoscaling": {"high_kv_usage": 0.7}}
    made = autoscaling(ClusterConfig.model_validate(values))

    assert (made.min_replicas, made.max_replicas) == (2, 5)
    assert made.policy.policy_kwargs["high_kv_usage"] == 0.7
    assert made.policy.get_policy().__name__ == "KVPolicy"


@pytest.mark.filterwarnings("ignore")
def test_the_application_is_built_for_a_cluster_of_yours(checkpoint: Path) -> None:
    """`serve run raylax.cluster.app:application model=…`: values come as text."""
    from raylax.cluster.app import application

    router = application({"model": str(checkpoint), "port": "8123", "replicas": "2"})
    deployment = router._bound_deployment
    routing, worker, metrics = deployment.init_args

    assert deployment.name == "Router"
    assert routing.model_name == checkpoint.name
    names = [bound._bound_deployment.name for bound in (worker, metrics)]
    assert names == ["Worker", "Metrics"]
    assert worker._bound_deployment._deployment_config.autoscaling_config.min_replicas == 2
    assert len(routing.token) == 64
