"""What stands around a RayService: gRPC's Service, who may come in, who is asked for metrics."""

from typing import Any

from raylax.cluster.manifests.pods import DASHBOARD, GRPC, SERVE, labels_of
from raylax.cluster.manifests.service import metadata
from raylax.cluster.manifests.site import Pods, Site
from raylax.cluster.manifests.words import quoted

SERVES = "ray.io/serve"
"""KubeRay's label of pods with a proxy."""
API = (443, 6443)
"""Of hubs over HTTPS, and of Kubernetes itself, which the autoscaler asks."""


def around(site: Site) -> dict[str, dict[str, Any]]:
    """Resources by the names of their files."""
    disruptions = {
        f"disruption-{pods.name}": disruption(site, pods) for pods in (site.routers, *site.workers)
    }
    return {
        "grpc-service": grpc_service(site),
        "network-policy": network_policy(site),
        "pod-monitor": pod_monitor(site),
        **disruptions,
        **({} if site.claim_size is None else {"models-claim": models_claim(site)}),
    }


def grpc_service(site: Site) -> dict[str, Any]:
    """Routers alone speak gRPC. KubeRay's own Service would lead to all pods that have a proxy."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(site, "-grpc"),
        "spec": {
            "selector": {**labels_of(site, site.routers), SERVES: "true"},
            "ports": [
                {
                    "name": GRPC,
                    "port": site.grpc_port,
                    "targetPort": GRPC,
                    "appProtocol": "https" if site.has_tls else "kubernetes.io/h2c",
                }
            ],
        },
    }


def models_claim(site: Site) -> dict[str, Any]:
    """Of a volume for models and what is compiled of them, which outlives the rest."""
    named = {} if site.storage_class is None else {"storageClassName": quoted(site.storage_class)}
    about = metadata(site)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            **about,
            "name": quoted(site.claim or ""),
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            **named,
            "resources": {"requests": {"storage": site.claim_size}},
        },
    }


def network_policy(site: Site) -> dict[str, Any]:
    """Clients reach HTTP and gRPC, KubeRay's operator what it asks, and our pods each other. Out go
    names, HTTPS and Kubernetes' own API."""
    ours = {"podSelector": {"matchLabels": labels_of(site)}}
    operator = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}},
    }
    dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(site),
        "spec": {
            "podSelector": {"matchLabels": labels_of(site)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [ours]},
                {"ports": tcp(site.port, site.grpc_port)},
                {"from": [operator], "ports": tcp(DASHBOARD)},
            ],
            "egress": [{"to": [ours]}, {"ports": dns}, {"ports": tcp(*API)}],
        },
    }


def pod_monitor(site: Site) -> dict[str, Any]:
    """Of Prometheus' operator. Any pod tells of all, so that one is asked: the head, which has a
    proxy in any case."""
    endpoint: dict[str, Any] = {"port": SERVE, "path": "/metrics", "interval": "15s"}
    if site.has_keys:
        key = {"name": f"{site.name}-metrics", "key": "key"}
        endpoint["authorization"] = {"type": "Bearer", "credentials": key}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(site),
        "spec": {
            "selector": {"matchLabels": labels_of(site, site.head)},
            "podMetricsEndpoints": [endpoint],
        },
    }


def disruption(site: Site, pods: Pods) -> dict[str, Any]:
    """One pod of a kind at a time, where somebody empties machines."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(site, f"-{pods.name}"),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels_of(site, pods)}},
    }


def tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]
