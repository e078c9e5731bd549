"""The application for a Ray whose machines are pods, and come when somebody wants them (KubeRay).

A RayService names it as `raylax.cluster.application.on_pods:application`. It is built in the head's
pod, before there are others, which has neither their cores nor their memory nor their GPUs.
"""

from typing import Any

from ray import serve

from raylax.cluster.application.app import build_application
from raylax.cluster.application.token import cluster_token
from raylax.cluster.config.reading import read_config
from raylax.cluster.models.checks import check_models
from raylax.cluster.models.lookup import fetch_models, find_models
from raylax.cluster.models.memory import engines_alone
from raylax.kernels.sources.events import nobody


def application(args: dict[str, Any]) -> serve.Application:
    """`args`: keys and values of raylax.yaml, as `raylax manifests` writes them. Raises
    UserError."""
    config = fetch_models(read_config(None, args), nobody())
    check_models(find_models(config), machines_are_here=False)
    return build_application(config, cluster_token(), "the RayService", engines_alone)
