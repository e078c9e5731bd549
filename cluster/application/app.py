"""The Serve application: Router in front, Workers behind, Metrics aside."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig

from raylax.cluster.application.router import Router
from raylax.cluster.application.token import cluster_token
from raylax.cluster.application.versions import model_id, version_of
from raylax.cluster.autoscaling.on_serve.policy import RouterPolicy, WorkerPolicy
from raylax.cluster.config.flat import settings_of
from raylax.cluster.config.reading import read_config
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.environment import answers_of, metrics_of, run_directory
from raylax.cluster.metrics.replica import MetricsReplica
from raylax.cluster.models.checks import check_models
from raylax.cluster.models.lookup import ResolvedModel, find_models
from raylax.cluster.models.memory import plan_engines
from raylax.cluster.models.names import deployment_names
from raylax.cluster.placement import (
    cost_of_a_worker,
    device_of_a_worker,
    on_the_first_machine,
    placement,
    routers_of,
)
from raylax.cluster.ray_patches.tls import brought
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.router.access.keys import as_json
from raylax.router.config import RouterConfig
from raylax.router.discovery import Membership
from raylax.worker.config import EngineConfig
from raylax.worker.serving.replica import WorkerReplica

ONGOING = 10_000
# Serve replaces a replica after three checks in a row that failed.
HEALTH = {"health_check_period_s": 0.3, "health_check_timeout_s": 4}
DRAIN_S = 5.0
"""Serve waits so long for a replica's own end: a worker's sequences move elsewhere meanwhile."""


def build_application(
    config: ClusterConfig,
    token: str,
    by: str,
    plan: Callable[[Sequence[ResolvedModel]], list[EngineConfig]] = plan_engines,
) -> serve.Application:
    """Router and metrics, and workers for each model, bound together. `by`: who wants it so, in
    words. `plan`: what the engines of each model are told. Raises UserError."""
    models = find_models(config)
    engines = plan(models)
    directory = run_directory()
    first_machine = on_the_first_machine(config)
    beside = {"resources": first_machine} if first_machine else {}
    kept = [str(metrics_of(directory))] if directory else []
    metrics = replicas(
        "Metrics",
        MetricsReplica,
        kept,
        user_config={"settings": settings_of(config), "by": by},
        ray_actor_options={"num_cpus": 0, **beside},
    )
    names = deployment_names([model.name for model in models])
    first = first_workers([model.config for model in models])
    workers = [
        worker(name, model, engine, token, metrics, count)
        for name, model, engine, count in zip(names, models, engines, first, strict=True)
    ]
    routers = [router_config(model, token) for model in models]
    keys = routers[0].keys
    return replicas(
        "Router",
        serve.ingress()(Router),
        [routers, [str(model.checkpoint) for model in models]],
        [workers, metrics],
        same_if=[[replace(one, keys=()) for one in routers]],
        user_config={"keys": as_json(keys)},  # which is told to routers that run, too
        autoscaling_config=fixed(routers_of(config)),
        max_surge_percent=100,  # the next one is there before the last one goes
        max_constructor_retry_count=1,  # it opens ports: what failed would fail again
        graceful_shutdown_timeout_s=config.limits.request_timeout_s,  # calls end where they began
        ray_actor_options={"num_cpus": 0, **beside},
    )


def replicas(
    name: str,
    body: Any,
    told: Sequence[Any] = (),
    parts: Sequence[Any] = (),
    same_if: Sequence[Any] | None = None,
    **options: Any,
) -> serve.Application:
    """A deployment of `body`, made with what it is told and with handles of other parts. Deployed
    again, its replicas go on unless they would be told something else now: of all that, or of
    `same_if`, if that is given."""
    given = {"graceful_shutdown_timeout_s": DRAIN_S, **HEALTH, **options}
    deployment = serve.deployment(
        body,
        name=name,
        max_ongoing_requests=ONGOING,
        logging_config={"enable_access_log": False},
        graceful_shutdown_wait_loop_s=0.1,
        **given,
    )
    version = version_of(*(told if same_if is None else same_if))
    return deployment.options(version=version, _internal=True).bind(*told, *parts)


def worker(
    deployment: str,
    model: ResolvedModel,
    engine: EngineConfig,
    token: str,
    metrics: serve.Application,
    first: int,
) -> serve.Application:
    """The deployment of a model's workers, so many to begin with."""
    config = model.config
    named = model.name, model_id(model.checkpoint, config), str(model.checkpoint)
    device = device_of_a_worker(config)
    return replicas(
        deployment,
        WorkerReplica,
        [*named, engine.asjson(), device, token, config.enable_tracing],
        [metrics],
        **placement(config, deployment),
        request_router_config=RequestRouterConfig(request_router_class=Membership),
        autoscaling_config=autoscaling(model.name, config, first),
    )


SCALING = {
    "upscale_delay_s": 0.0,
    "downscale_delay_s": 0.0,
    "metrics_interval_s": 1.0,
    "look_back_period_s": 2.0,
}
"""Serve does at once what our policies say, and hears of the replicas every second."""


def fixed(replicas: int) -> AutoscalingConfig:
    """Always as many. Serve then asks these replicas, too, what a model's policy must know."""
    policy = AutoscalingPolicy(policy_function=RouterPolicy)
    return AutoscalingConfig(min_replicas=replicas, max_replicas=replicas, policy=policy, **SCALING)


def first_workers(configs: Sequence[ClusterConfig]) -> list[int]:
    """How many workers each model begins with: one at least, for only a worker can say how long a
    sequence may be; of those that may have none, as many as the pool has room for."""
    costs, pool = [cost_of_a_worker(config) for config in configs], configs[0].autoscaling.pool
    left = math.inf if pool is None else pool
    left -= sum(config.replicas * cost for config, cost in zip(configs, costs, strict=True))
    first = []
    for config, cost in zip(configs, costs, strict=True):
        extra = config.replicas == 0 and cost <= left
        left -= cost if extra else 0.0
        first.append(1 if extra else config.replicas)
    return first


def autoscaling(model: str, config: ClusterConfig, first: int) -> AutoscalingConfig:
    """When Serve is to add and to take away a model's workers."""
    a, most = config.autoscaling, config.most_replicas
    kwargs = {
        "model": model,
        "least": config.replicas,
        "most": most,
        "schedule": [(entry.cron, entry.replicas) for entry in config.schedule],
        "timezone": a.timezone,
        "ttft_s": in_seconds(config.ttft_p99_ms),
        "itl_s": in_seconds(config.itl_p99_ms),
        "wait_limit_s": config.limits.max_wait_s,
        "idle_s": a.idle_s,
        "weight": config.scaling_weight,
        "cost": cost_of_a_worker(config),
        "pool": a.pool,
        "dry_run": a.dry_run,
    }
    return AutoscalingConfig(
        min_replicas=min([config.replicas, *(entry.replicas for entry in config.schedule)]),
        initial_replicas=first,
        max_replicas=most,
        policy=AutoscalingPolicy(policy_function=WorkerPolicy, policy_kwargs=kwargs),
        **SCALING,
    )


def in_seconds(ms: float | None) -> float | None:
    """Of a setting in milliseconds."""
    return None if ms is None else ms / 1000


def router_config(model: ResolvedModel, token: str) -> RouterConfig:
    """What a router is told of a model."""
    config = model.config
    return RouterConfig(
        model_name=model.name,
        aliases=config.aliases,
        text_files=str(open_checkpoint(model.checkpoint, config.has_weights).text),
        token=token,
        model_id=model_id(model.checkpoint, config),
        policy=config.policy,
        tool_parser=config.tool_parser,
        reasoning_parser=config.reasoning_parser,
        reranker=config.reranker,
        pooling=config.engine_config(1).pooling,
        limits=config.limits.of_router,
        ttft_target_s=in_seconds(config.ttft_p99_ms) if config.limits.refuse_late else None,
        host=config.host,
        grpc_port=config.grpc_port,
        enable_debug=config.enable_debug,
        dashboard=config.dashboard,
        strict_fields=config.strict_fields,
        share_prefixes=config.share_prefixes,
        routers=routers_of(config),
        keys=tuple(entry.key for entry in config.keys),
        allowed_hosts=config.allowed_hosts,
        cors_origins=config.cors_origins,
        answers=str(answers_of(directory)) if (directory := run_directory()) else "",
        files=str(config.files_directory or ""),
        **brought(config),
    )


def application(args: dict[str, Any]) -> serve.Application:
    """The whole application, for a Ray of yours:
    `serve run raylax.cluster.application.app:application model=… port=…`."""
    config = read_config(None, args)
    check_models(find_models(config))
    return build_application(config, cluster_token(), "serve run")
