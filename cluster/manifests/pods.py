"""A pod of each kind, as KubeRay makes it: it adds how Ray is started, and when it may be."""

from typing import Any

from raylax.cluster.environment import FOR_RAY
from raylax.cluster.manifests.places import SECRETS, SHARED_MEMORY, TLS, VOLUME
from raylax.cluster.manifests.site import Pods, Site
from raylax.cluster.manifests.words import quoted

USER = 10001
"""Of the image."""
AGENT, DASHBOARD = 52365, 8265
"""Ports of Ray's, which say how it is."""
SERVE, GRPC = "serve", "grpc"
"""Names of ports; by the first one KubeRay knows where Serve listens."""
PART = "raylax/part"
"""The label that says which kind of pod it is."""
START_S = 60
"""For a router or a worker to start elsewhere, where there is room for it."""
GOODBYE_S = 15
"""For Ray to end, and what has begun to ask."""
GPU = "nvidia.com/gpu"
UNPRIVILEGED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SHARED_BYTES = "1Gi"
"""For Ray's objects, and what the ranks of a worker hand to each other."""
OF_RAY = (
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S", "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S",
    "RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED", "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE", "RAY_SERVE_THROUGHPUT_OPTIMIZED",
    "RAY_USAGE_STATS_ENABLED", "RAY_enable_metrics_collection", "RAY_memory_monitor_refresh_ms",
    "RAY_worker_niceness",
)  # fmt: skip
"""What `raylax serve` tells Ray, too: HAProxy in front, and no more watching than is needed."""


def labels_of(site: Site, pods: Pods | None = None) -> dict[str, Any]:
    """Of all our pods, or of those of one kind."""
    kind = {} if pods is None else {PART: pods.name}
    return {"app.kubernetes.io/part-of": quoted(site.name), **kind}


def template(site: Site, pods: Pods) -> dict[str, Any]:
    """Of a group's pods: not root, with no more than they need."""
    spec: dict[str, Any] = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": site.scales if pods is site.head else False,
        "containers": [container(site, pods)],
        "volumes": volumes(site),
    }
    if pods is not site.head:
        spec["terminationGracePeriodSeconds"] = notice(site, pods) + GOODBYE_S
    if pods.pulls:
        spec["initContainers"] = [pulling(site, pods, n) for n in range(len(pods.pulls))]
    if pods is not site.head:
        spec["topologySpreadConstraints"] = [apart(site, pods)]
    if pods.gpus:
        spec["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return {"metadata": {"labels": labels_of(site, pods)}, "spec": spec}


def container(site: Site, pods: Pods) -> dict[str, Any]:
    """Ray's, in which all of ours runs."""
    ports = [{"name": SERVE, "containerPort": site.port}]
    if pods is site.routers:
        ports.append({"name": GRPC, "containerPort": site.grpc_port})
    if pods is site.head:
        ports += [
            {"name": "gcs-server", "containerPort": 6379},
            {"name": "dashboard", "containerPort": DASHBOARD},
        ]
    needs: dict[str, Any] = {"cpu": pods.cpus, "memory": pods.memory}
    if pods.gpus:
        needs[GPU] = pods.gpus
    made = {
        **common(site, "ray-head" if pods is site.head else "ray-worker"),
        "ports": ports,
        "env": env(site, fetches=False),
        "resources": {"requests": needs, "limits": needs},
        "livenessProbe": probe(
            {"httpGet": {"path": "/api/local_raylet_healthz", "port": AGENT}}, delay_s=30, fails=12
        ),
        "readinessProbe": probe(readiness(site, pods), delay_s=5, fails=3),
    }
    if pods is not site.head:
        leaving = ["raylax", "leave", "--within", str(notice(site, pods))]
        made["lifecycle"] = {"preStop": {"exec": {"command": leaving}}}
    return made


def notice(site: Site, pods: Pods) -> int:
    """Seconds in which what is in a pod goes elsewhere, before it is ended: a router's calls go on
    to their own ends, and a worker's successor may come first."""
    return site.calls_end_s + START_S if pods is site.routers else START_S


def pulling(site: Site, pods: Pods, number: int) -> dict[str, Any]:
    """Fetches a model, or what is new of it, before Ray starts."""
    device = "cuda" if pods.gpus else "cpu"
    return {
        **common(site, f"pull-{number}"),
        "command": ["raylax", "pull", pods.pulls[number], "--device", device],
        "env": env(site, fetches=True),
    }


def common(site: Site, name: str) -> dict[str, Any]:
    """Of every container."""
    return {
        "name": name,
        "image": quoted(site.image),
        "imagePullPolicy": site.pull_policy,
        "securityContext": UNPRIVILEGED,
        "volumeMounts": mounts(site),
    }


def readiness(site: Site, pods: Pods) -> dict[str, Any]:
    """Routers are ready when they serve, as health by gRPC says; kubelet speaks no TLS, and then is
    content with the door. Of the others Serve's proxy is asked, and of the head Ray itself."""
    if pods is site.head:
        return {"httpGet": {"path": "/api/gcs_healthz", "port": DASHBOARD}}
    if pods is site.routers and not site.has_tls:
        return {"grpc": {"port": site.grpc_port}}
    return {"httpGet": {"path": "/-/healthz", "port": SERVE}}


def probe(action: dict[str, Any], delay_s: int, fails: int) -> dict[str, Any]:
    return {
        **action, "initialDelaySeconds": delay_s, "periodSeconds": 5, "timeoutSeconds": 5,
        "failureThreshold": fails,
    }  # fmt: skip


def env(site: Site, fetches: bool) -> list[dict[str, Any]]:
    """`fetches`: asks hubs, by a token if there is one; whoever does not has what was fetched."""
    found: list[dict[str, Any]] = [{"name": "HF_HOME", "value": f"{VOLUME}/hub"}]
    if site.claim is not None:
        found.append({"name": "RAYLAX_STORE", "value": f"{VOLUME}/store"})
    if fetches:
        secret = {"name": f"{site.name}-hub", "key": "token", "optional": True}
        return [*found, {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": secret}}]
    found.append({"name": "MLC_DOWNLOAD_CACHE_POLICY", "value": "READONLY"})
    return [*found, *({"name": name, "value": FOR_RAY[name]} for name in OF_RAY)]


def volumes(site: Site) -> list[dict[str, Any]]:
    """Models, shared memory, secrets."""
    models: dict[str, Any] = {"emptyDir": {}}
    if site.claim is not None:
        models = {"persistentVolumeClaim": {"claimName": site.claim}}
    shared = {"emptyDir": {"medium": "Memory", "sizeLimit": SHARED_BYTES}}
    secrets = [
        {"name": name, "secret": {"secretName": f"{site.name}-{name}", "defaultMode": 0o440}}
        for name in secrets_of(site)
    ]
    return [{"name": "models", **models}, {"name": "shared-memory", **shared}, *secrets]


def mounts(site: Site) -> list[dict[str, Any]]:
    return [
        {"name": "models", "mountPath": VOLUME},
        {"name": "shared-memory", "mountPath": SHARED_MEMORY},
        *(
            {"name": name, "mountPath": f"{SECRETS}/{name}", "readOnly": True}
            for name in secrets_of(site)
        ),
    ]


def secrets_of(site: Site) -> list[str]:
    """Whose files pods have: the last part of their names, and of the directory."""
    tls = TLS.rpartition("/")[2]
    return [name for name, there in (("keys", site.has_keys), (tls, site.has_tls)) if there]


def apart(site: Site, pods: Pods) -> dict[str, Any]:
    """On different machines, where there are several."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels_of(site, pods)},
    }
