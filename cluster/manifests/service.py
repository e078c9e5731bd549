"""The RayService: a Ray cluster of pods, and the application on it.

KubeRay applies another `serveConfigV2` in place, as `serve deploy` does; where pods change it
starts a second cluster beside the first, and lets clients over when that is ready.
"""

from importlib.metadata import version
from typing import Any

from raylax.cluster.manifests.pods import SERVE, UNPRIVILEGED, template
from raylax.cluster.manifests.serving import serve_config
from raylax.cluster.manifests.site import Leaf, Pods, Site
from raylax.cluster.manifests.words import inner, quoted
from raylax.cluster.ray_patches.fewer_processes import OBJECT_STORE_BYTES

IDLE_S = 60
"""How long a pod without a worker stays."""


def ray_service(site: Site) -> dict[str, Any]:
    """The resource. Its Service, of all pods that serve HTTP, has its own name."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": metadata(site),
        "spec": {
            "upgradeStrategy": {"type": "NewCluster"},
            "rayClusterDeletionDelaySeconds": site.old_cluster_s,
            "excludeHeadPodFromServeSvc": True,
            "serveService": {
                "metadata": {"name": quoted(site.name)},
                "spec": {
                    "type": "ClusterIP",
                    "ports": [{"name": SERVE, "port": site.port, "targetPort": site.port}],
                },
            },
            "serveConfigV2": inner(serve_config(site)),
            "rayClusterConfig": ray_cluster(site),
        },
    }


def metadata(site: Site, suffix: str = "") -> dict[str, Any]:
    """Of a resource of this installation."""
    made: dict[str, Any] = {
        "name": quoted(f"{site.name}{suffix}"),
        "labels": {
            "app.kubernetes.io/name": "raylax",
            "app.kubernetes.io/part-of": quoted(site.name),
        },
    }
    return made if site.namespace is None else {**made, "namespace": quoted(site.namespace)}


def ray_cluster(site: Site) -> dict[str, Any]:
    """The pods. Whoever asks Ray for something must know its token, which KubeRay makes."""
    return {
        "rayVersion": ray_version(),
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": site.scales,
        "autoscalerOptions": {"idleTimeoutSeconds": IDLE_S, "securityContext": UNPRIVILEGED},
        "headGroupSpec": {
            "rayStartParams": start(site.head, 0),
            "template": template(site, site.head),
        },
        "workerGroupSpecs": [group(site, pods) for pods in (site.routers, *site.workers)],
    }


def group(site: Site, pods: Pods) -> dict[str, Any]:
    """Routers take no core that Ray counts, so that no worker is put beside them."""
    return {
        "groupName": pods.name,
        "replicas": pods.first,
        "minReplicas": pods.least,
        "maxReplicas": pods.most,
        "rayStartParams": start(pods, 0 if pods is site.routers else pods.cpus),
        "template": template(site, pods),
    }


def start(pods: Pods, cpus: Leaf) -> dict[str, Any]:
    """What `ray start` is told. Of what only these pods have, those without a model have two: a
    router's successor comes before it goes. The shell takes the outer quotes away."""
    room = 1 if pods.cpus_of_a_rank else 2
    return {
        "num-cpus": quoted(cpus),
        "object-store-memory": str(OBJECT_STORE_BYTES),
        "resources": f'"{{\\"{pods.resource}\\": {room}}}"',
    }


def ray_version() -> str:
    """Of the image, as far as KubeRay decides by it."""
    major, minor, _ = version("ray").split(".", 2)
    return f"{major}.{minor}.0"
