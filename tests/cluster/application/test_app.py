"""What Ray Serve is told; Ray itself is not started."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pytest

from raylax.cluster.application.versions import model_id
from raylax.cluster.config.reading import read_config
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.lookup import find_models
from raylax.cluster.models.names import deployment_names
from raylax.cluster.placement import (
    cost_of_a_worker,
    cpus_of_a_rank,
    cpus_of_the_machine,
    device_of_a_worker,
    placement,
    places,
    routers_of,
)
from raylax.router.access.keys import from_json
from raylax.worker.hardware.devices import Choice
from tests.support.checkpoints import write_checkpoint


@pytest.mark.parametrize(
    ("cores", "replicas", "most", "ranks", "threads", "cpus"),
    [
        (8, 1, None, 1, 8, 8),
        (8, 2, None, 1, 4, 8),
        (8, 1, 4, 1, 2, 8),
        (2, 1, 8, 1, 1, 8),
        (3, 2, None, 1, 1, 3),
        (8, 2, None, 2, 2, 8),
        (2, 1, None, 4, 1, 4),
    ],
)
def test_ranks_share_the_cores(
    cores: int,
    replicas: int,
    most: int | None,
    ranks: int,
    threads: int,
    cpus: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if there were as many as there may be: none gets less when another comes. Ray is told of a
    core for each, also where there are fewer."""
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: cores)
    config = ClusterConfig(replicas=replicas, max_replicas=most, tensor_parallel_shards=ranks)

    assert (cpus_of_a_rank(config), cpus_of_the_machine(config)) == (threads, cpus)


KEY = {"name": "a", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("cores", "values", "routers"),
    [
        (1, {}, 1),
        (3, {}, 1),
        (4, {}, 2),
        (64, {}, 2),
        (64, {"routers": 1}, 1),
        (1, {"routers": 3}, 3),
        (64, {"keys": [KEY]}, 2),
        (64, {"keys": [{**KEY, "max_concurrent": 1}]}, 1),
        (64, {"keys": [{**KEY, "tokens_per_minute": 9}]}, 1),
        (64, {"keys": [{**KEY, "requests_per_minute": 9}]}, 1),
    ],
)
def test_there_are_two_routers_where_that_costs_nothing(
    cores: int, values: dict[str, Any], routers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the engine's cores, nor a part of what a key may ask."""
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: cores)

    assert routers_of(ClusterConfig.model_validate(values)) == routers


@pytest.mark.parametrize(("where", "strategy"), [("host", "STRICT_PACK"), ("cluster", "PACK")])
def test_each_rank_has_a_bundle_of_its_workers_group(
    where: Literal["host", "cluster"], strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica, which is the first rank, fits into the first one."""
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: 8)
    config = ClusterConfig(tensor_parallel_shards=2, pipeline_parallel_stages=2, placement=where)

    assert placement(config) == {
        "ray_actor_options": {"num_cpus": 2, "num_gpus": 0},
        "placement_group_bundles": [{"CPU": 2}] * 4,
        "placement_group_strategy": strategy,
    }


@pytest.mark.parametrize("ranks", [1, 2])
def test_each_rank_on_gpus_has_one(ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rank is the replica: it has one of its own, whether it is alone or not."""
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: 2 * ranks)
    options = placement(ClusterConfig(device="cuda", tensor_parallel_shards=ranks))

    assert options["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 1}
    assert options.get("placement_group_bundles", []) == [{"CPU": 2, "GPU": 1}] * ranks * (
        ranks > 1
    )


def test_what_auto_comes_to_holds_for_all(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, where the cluster is started: a worker would say otherwise on another machine. And
    models that go on with each other's sequences run on one kind of device."""
    auto, cuda, cpu = (ClusterConfig(device=device) for device in ("auto", "cuda", "cpu"))
    ids = [model_id(checkpoint, one) for one in (auto, cuda, cpu)]
    assert placement(auto)["ray_actor_options"]["num_gpus"] == 0
    assert ids[0] == ids[2] != ids[1]

    monkeypatch.setattr("raylax.cluster.placement.choose", lambda: Choice("cuda:1"))

    assert device_of_a_worker(auto) == "cuda"
    assert placement(auto)["ray_actor_options"]["num_gpus"] == 1
    assert model_id(checkpoint, auto) == ids[1]


def test_ranks_may_share_a_gpu_and_its_memory() -> None:
    """Ray places as many there as fit; each engine counts on its share only."""
    config = ClusterConfig(device="cuda", gpus_per_rank=0.25)

    assert placement(config)["ray_actor_options"]["num_gpus"] == 0.25
    assert config.engine_config(1).gpus_per_rank == 0.25


def test_a_worker_of_one_rank_has_no_group() -> None:
    assert "placement_group_bundles" not in placement(ClusterConfig())


JOINABLE = {"cluster": "10.0.0.2", "cluster_secret": "/secret"}


@pytest.mark.parametrize("ranks", [1, 2])
def test_where_machines_may_join_each_has_one_worker(
    ranks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are to be: it has the machine's cores, and a place that there is once."""
    monkeypatch.setattr("raylax.cluster.placement.usable_cores", lambda: 8)
    config = ClusterConfig.model_validate(
        {**JOINABLE, "replicas": 4, "max_replicas": 8, "tensor_parallel_shards": ranks}
    )
    options, place = placement(config, "Worker-a"), {"raylax_Worker-a": 1.0}
    bundles = options.get("placement_group_bundles", [])

    assert (cpus_of_a_rank(config), cpus_of_the_machine(config)) == (8 // ranks, 8)
    assert options["ray_actor_options"]["resources"] == place
    assert bundles == ([] if ranks == 1 else [{"CPU": 4, **place}, {"CPU": 4}])
    assert places(config, ["Worker-a", "Worker-b"]) == {**place, "raylax_Worker-b": 1.0}
    assert places(ClusterConfig(replicas=4), ["Worker-a"]) == {}


def test_where_machines_may_join_gpus_are_what_counts() -> None:
    """One with eight of them has eight workers."""
    config = ClusterConfig.model_validate({**JOINABLE, "device": "cuda", "replicas": 16})

    assert placement(config)["ray_actor_options"] == {"num_cpus": 0, "num_gpus": 1.0}


# Ray 2.60 and its dependencies warn of each other when imported
@pytest.mark.filterwarnings("ignore")
def test_serve_scales_by_our_policy() -> None:
    """Between the configured numbers, by the configured targets, and at once."""
    from raylax.cluster.application.app import autoscaling

    values = {"replicas": 2, "max_replicas": 5, "ttft_p99_ms": 700, "autoscaling": {"pool": 6}}
    made = autoscaling("m", ClusterConfig.model_validate({**values, "device": "cpu"}), 2)
    kwargs = made.policy.policy_kwargs

    assert (made.min_replicas, made.max_replicas, made.initial_replicas) == (2, 5, 2)
    assert (made.upscale_delay_s, made.downscale_delay_s) == (0, 0)
    assert (kwargs["ttft_s"], kwargs["itl_s"], kwargs["pool"], kwargs["cost"]) == (0.7, None, 6, 1)
    assert made.policy.get_policy().__name__ == "WorkerPolicy"


@pytest.mark.filterwarnings("ignore")
def test_who_may_go_to_none_begins_with_one() -> None:
    """Only a worker can say how long a sequence may be; nor may Serve hold back a schedule."""
    from raylax.cluster.application.app import autoscaling, first_workers

    night = {"schedule": [{"cron": "0 22 * * *", "replicas": 0}], "replicas": 3}
    configs = [ClusterConfig.model_validate(one) for one in ({"replicas": 0}, night)]
    first = first_workers(configs)
    none, by_night = (autoscaling("m", one, n) for one, n in zip(configs, first, strict=True))

    assert (none.min_replicas, none.initial_replicas, none.max_replicas) == (0, 1, 1)
    assert (by_night.min_replicas, by_night.initial_replicas) == (0, 3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("pool", "first"), [(2, [0, 2, 0]), (3, [1, 2, 0]), (9, [1, 2, 1]), (None, [1, 2, 1])]
)
def test_a_pool_that_is_full_leaves_none_to_those_who_need_none(
    pool: float | None, first: list[int]
) -> None:
    """Else the application would wait for a worker that has no place."""
    from raylax.cluster.application.app import first_workers

    entries = [{"model": "demo", "served_model_name": f"m{n}", "replicas": n} for n in (0, 2)]
    given = {"models": [*entries, entries[0]], "device": "cpu", "autoscaling": {"pool": pool}}

    assert first_workers(ClusterConfig.model_validate(given).each) == first


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({"device": "cpu", "tensor_parallel_shards": 2, "pipeline_parallel_stages": 2}, 4),
        ({"device": "cuda", "gpus_per_rank": 0.5}, 0.5),
        ({"device": "cuda", "tensor_parallel_shards": 2}, 2),
        ({"device": "cuda", "scaling_cost": 7}, 7),
    ],
)
def test_what_a_worker_takes_of_a_pool(given: dict[str, Any], cost: float) -> None:
    assert cost_of_a_worker(ClusterConfig.model_validate(given)) == cost


def built(**values: Any) -> list[Any]:
    """The deployments of an application: router, metrics, workers."""
    from raylax.cluster.application.app import build_application

    router = build_application(read_config(None, values), "secret", "a test")._bound_deployment
    _, _, workers, metrics = router.init_args
    return [router, *(part._bound_deployment for part in (metrics, *workers))]


@pytest.mark.filterwarnings("ignore")
def test_the_application_is_router_workers_and_metrics(checkpoint: Path) -> None:
    """Also from values that are text, as `serve run` gives them."""
    deployment, *_ = built(model=str(checkpoint), port="8123", replicas="2")
    (routing,), (place,), (worker,), metrics = deployment.init_args

    assert deployment.name == "Router"
    assert (routing.model_name, place) == (checkpoint.name, str(checkpoint))
    assert metrics._bound_deployment.name == "Metrics"
    assert [worker._bound_deployment.name] == deployment_names([checkpoint.name])
    assert worker._bound_deployment._deployment_config.autoscaling_config.min_replicas == 2
    assert routing.token == "secret"
    assert routing.model_id == worker._bound_deployment.init_args[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({}, []),
        ({"replicas": 2}, []),
        ({"autoscaling": {"dry_run": True}}, []),
        ({"itl_p99_ms": 60}, ["Worker"]),
        ({"ttft_p99_ms": 900}, ["Router"]),
        ({"max_num_sequence": 9}, ["Worker"]),
        ({"policy": "random"}, ["Router"]),
        ({"keys": [{"name": "alice", "sha256": "0" * 64}]}, []),
        ({"quantization": "w8a8"}, ["Router", "Worker"]),
    ],
)
def test_deployed_again_only_who_is_told_something_new_is_replaced(
    change: dict[str, Any], replaced: list[str], checkpoint: Path
) -> None:
    """Serve replaces replicas of another version."""
    same = {"model": str(checkpoint), "max_replicas": 2}
    before, after = built(**same), built(**{**same, **change})
    pairs = zip(before, after, strict=True)

    changed = [one.name.partition("-")[0] for one, two in pairs if one.version != two.version]
    assert changed == replaced


@pytest.mark.filterwarnings("ignore")
def test_other_keys_are_told_to_routers_that_run(checkpoint: Path) -> None:
    """And to those that are started later, before anybody asks them."""
    key = {"name": "alice", "sha256": "0" * 64}
    for given in ([], [key]):
        routing, *_ = built(model=str(checkpoint), keys=given)
        told = from_json(routing._deployment_config.user_config["keys"])

        metrics = routing.init_args[-1]
        known = metrics._bound_deployment._deployment_config.user_config

        assert known["by"] == "a test"
        assert ("keys.alice.share" in known["settings"]) == bool(given)
        assert [one.name for one in told] == [one["name"] for one in given]
        assert routing.init_args[0][0].keys == told


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"max_num_sequence": 9, "replicas": 2, "pipeline_parallel_stages": 2}, True),
        ({"tensor_parallel_shards": 2}, False),
        ({"quantization": "w8a8"}, False),
        ({"engine": {"kv_dtype": "int8"}}, False),
    ],
)
def test_a_models_id_is_of_what_decides_its_tokens(
    change: dict[str, Any], same: bool, checkpoint: Path
) -> None:
    plain, other = ClusterConfig(), ClusterConfig.model_validate(change)

    assert (model_id(checkpoint, plain) == model_id(checkpoint, other)) is same


def test_a_model_whose_weights_were_replaced_is_another_one(tmp_path: Path) -> None:
    """In the same place."""
    first = model_id(write_checkpoint(tmp_path), ClusterConfig())
    file = tmp_path / "model.safetensors"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))

    assert model_id(tmp_path, ClusterConfig()) != first


@pytest.mark.filterwarnings("ignore")
def test_each_model_has_workers_of_its_own(checkpoint: Path) -> None:
    """What an entry does not say is what stands at the top; cores are shared by all."""
    entries = [
        {"model": str(checkpoint), "served_model_name": "petit modèle", "max_num_sequence": 2},
        {"model": str(checkpoint), "served_model_name": "模型", "replicas": 3},
    ]
    router, _, *made = built(models=entries, replicas=2, policy="round-robin")
    configs, *_ = router.init_args

    assert [config.model_name for config in configs] == ["petit modèle", "模型"]
    assert [config.policy for config in configs] == ["round-robin"] * 2
    assert [one.name for one in made] == deployment_names(["petit modèle", "模型"])
    assert all(one.name.isascii() for one in made)
    assert [one.init_args[0] for one in made] == ["petit modèle", "模型"]
    least = [one._deployment_config.autoscaling_config.min_replicas for one in made]
    assert least == [2, 3]
    assert '"max_num_sequence": 2' in made[0].init_args[3]


def test_models_need_names_of_their_own(checkpoint: Path) -> None:
    config = ClusterConfig.model_validate({"models": [{"model": str(checkpoint)}] * 2})

    with pytest.raises(UserError, match=f"found {checkpoint.name} twice"):
        find_models(config)


def test_an_entry_is_checked_as_the_rest_is() -> None:
    with pytest.raises(ValueError, match="max_replicas must be at least replicas, found 1 and 2"):
        ClusterConfig.model_validate({"models": [{"model": "m", "replicas": 2, "max_replicas": 1}]})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Serve's own, when it is imported
def test_a_router_is_told_all_that_is_set(checkpoint: Path, tmp_path: Path) -> None:
    """Whatever has the same name in both, and is not as it is by default."""
    from raylax.cluster.application.app import router_config

    for name in ("cert.pem", "key.pem", "clients.pem"):
        (tmp_path / name).touch()
    given = {
        "policy": "round-robin", "host": "10.0.0.5", "grpc_port": 9123, "enable_debug": True,
        "dashboard": False, "strict_fields": True, "share_prefixes": True, "routers": 2,
        "allowed_hosts": ("chat.lan",), "aliases": ("chat", "claude-*"),
        "tool_parser": "qwen3_coder", "reasoning_parser": "deepseek_r1",
        "reranker": "yes_no",
        "cors_origins": ("https://chat.example.org",), "tls_cert": str(tmp_path / "cert.pem"),
        "tls_key": str(tmp_path / "key.pem"), "tls_client_ca": str(tmp_path / "clients.pem"),
    }  # fmt: skip
    config = ClusterConfig.model_validate({"model": str(checkpoint), **given})
    told = asdict(router_config(find_models(config)[0], "secret"))
    shared = told.keys() & ClusterConfig.model_fields.keys()

    assert {name: told[name] for name in given} == given
    assert shared - given.keys() == {"keys", "limits"}
