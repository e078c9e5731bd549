"""The Serve application: Router in front, Workers behind, Metrics aside."""

import secrets
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy, RequestRouterConfig

from raylax.cluster.autoscale import KVPolicy
from raylax.cluster.config import ClusterConfig, read_config
from raylax.cluster.metrics.actor import MetricsReplica
from raylax.cluster.models import find_model
from raylax.cluster.placement import cpus_of_a_rank, placement
from raylax.router.actor import Membership, RouterReplica
from raylax.router.config import RouterConfig
from raylax.worker.actor import WorkerReplica

ONGOING = 10_000
# Serve replaces a replica after three checks in a row that failed.
HEALTH = {"health_check_period_s": 0.3, "health_check_timeout_s": 10}
# Serve waits this long for a replica's own end; sequences are aborted, not waited for.
GRACE = {"graceful_shutdown_timeout_s": 2, "graceful_shutdown_wait_loop_s": 0.1}


def autoscaling(config: ClusterConfig) -> AutoscalingConfig:
    a = config.autoscaling
    return AutoscalingConfig(
        min_replicas=config.replicas,
        max_replicas=config.most_replicas,
        upscale_delay_s=a.upscale_delay_s,
        downscale_delay_s=a.downscale_delay_s,
        metrics_interval_s=1.0,
        look_back_period_s=2.0,
        policy=AutoscalingPolicy(
            policy_function=KVPolicy,
            policy_kwargs={
                "high_kv_usage": a.high_kv_usage,
                "low_kv_usage": a.low_kv_usage,
                "high_waiting": a.high_waiting,
            },
        ),
    )


def build_application(config: ClusterConfig, checkpoint: Path, name: str) -> serve.Application:
    """The three deployments, bound together."""
    token, cpus = secrets.token_hex(32), cpus_of_a_rank(config)
    quiet = {"enable_access_log": False}
    metrics = serve.deployment(
        MetricsReplica,
        name="Metrics",
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": 0},
        logging_config=quiet,
        **HEALTH,
        **GRACE,
    ).bind()
    worker = serve.deployment(
        WorkerReplica,
        name="Worker",
        max_ongoing_requests=ONGOING,
        **placement(config),
        request_router_config=RequestRouterConfig(request_router_class=Membership),
        autoscaling_config=autoscaling(config),
        logging_config=quiet,
        **HEALTH,
        **GRACE,
    ).bind(
        name, str(checkpoint), config.engine_config(cpus).asjson(), config.device, token, metrics
    )
    routing = RouterConfig(
        model_name=name,
        checkpoint=str(checkpoint),
        token=token,
        policy=config.policy,
        max_body_bytes=config.limits.max_body_bytes,
        body_timeout_s=config.limits.body_timeout_s,
        max_inflight=config.limits.max_inflight,
        request_timeout_s=config.limits.request_timeout_s,
        host=config.host,
        grpc_port=config.grpc_port,
        enable_debug=config.enable_debug,
    )
    router = serve.deployment(
        serve.ingress()(RouterReplica),
        name="Router",
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": 0},
        logging_config=quiet,
        **HEALTH,
        **GRACE,
    )
    return router.bind(routing, worker, metrics)


def application(args: dict[str, Any]) -> serve.Application:
    """For `serve run raylax.cluster.app:application model=… port=…` on a Ray cluster of yours."""
    config = read_config(None, args)
    checkpoint, name = find_model(config)
    return build_application(config, checkpoint, name)
