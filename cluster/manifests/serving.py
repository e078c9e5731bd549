"""What Ray Serve is told to run, and in which pods: a RayService's serveConfigV2."""

from typing import Any

from raylax.cluster.application.deployment import NAME
from raylax.cluster.manifests.site import Pods, Site
from raylax.cluster.manifests.told import EVERYWHERE

BUILDER = "raylax.cluster.application.on_pods:application"


def serve_config(site: Site) -> dict[str, Any]:
    """As `serve deploy` takes it, and KubeRay hands it on."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": EVERYWHERE, "port": site.port},
        "applications": [
            {
                "name": NAME,
                "route_prefix": "/",
                "import_path": BUILDER,
                "args": site.args,
                "deployments": [placed(pods) for pods in (site.head, site.routers, *site.workers)],
            }
        ],
    }


def placed(pods: Pods) -> dict[str, Any]:
    """A deployment in its own pods: it needs what they alone have. Of several ranks the first one
    needs it, and the others are where that is."""
    own = {pods.resource: 1}
    gpus = pods.gpus // pods.ranks
    options: dict[str, Any] = {"num_cpus": pods.cpus_of_a_rank, "num_gpus": gpus, "resources": own}
    placement: dict[str, Any] = {"name": pods.deployment, "ray_actor_options": options}
    if pods.ranks > 1:
        rank = {"CPU": pods.cpus_of_a_rank} | ({"GPU": gpus} if gpus else {})
        placement["placement_group_bundles"] = [rank | own, *[rank] * (pods.ranks - 1)]
        placement["placement_group_strategy"] = "STRICT_PACK"
    return placement
