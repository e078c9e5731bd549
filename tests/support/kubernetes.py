"""Whether Kubernetes would take a resource: by its own schemas, and by what KubeRay's has of what
we write.

Kubernetes' are those of kubernetes-validate, without any key that they do not know. KubeRay's CRD
comes in no package: here is the part of it that manifests have, as strict, of KubeRay 1.7; pods are
Kubernetes' own in either.
"""

from typing import Any

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.31"
TEXT, COUNT, YES = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
MAP = {"type": "object", "additionalProperties": TEXT}


def strict(needed: str = "", **properties: Any) -> dict[str, Any]:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": needed.split(),
        "additionalProperties": False,
    }


ANY = {"type": "object"}
HEAD = strict("template", rayStartParams=MAP, template=ANY)
GROUP = strict(
    "groupName template maxReplicas minReplicas",
    groupName={"type": "string", "maxLength": 63},
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=MAP,
    template=ANY,
)
RAY_CLUSTER = strict(
    "headGroupSpec",
    rayVersion=TEXT,
    authOptions=strict("", mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling=YES,
    autoscalerOptions=strict("", idleTimeoutSeconds=COUNT, securityContext=ANY),
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": GROUP},
)
METADATA = strict("name", name=TEXT, namespace=TEXT, labels=MAP)
RAY_SERVICE = strict(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayService"},
    metadata=METADATA,
    spec=strict(
        "rayClusterConfig serveConfigV2",
        upgradeStrategy=strict(
            "", type={"enum": ["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]}
        ),
        rayClusterDeletionDelaySeconds=COUNT,
        excludeHeadPodFromServeSvc=YES,
        serveService=ANY,
        serveConfigV2=TEXT,
        rayClusterConfig=RAY_CLUSTER,
    ),
)
POD_MONITOR = strict(
    "apiVersion kind metadata spec",
    apiVersion={"const": "monitoring.coreos.com/v1"},
    kind={"const": "PodMonitor"},
    metadata=METADATA,
    spec=strict(
        "selector podMetricsEndpoints",
        selector=strict("", matchLabels=MAP),
        podMetricsEndpoints={
            "type": "array",
            "items": strict(
                "",
                port=TEXT,
                path=TEXT,
                interval={"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
                authorization=strict("", type=TEXT, credentials=strict("key", name=TEXT, key=TEXT)),
            ),
        },
    ),
)
OF_OTHERS = {"RayService": RAY_SERVICE, "PodMonitor": POD_MONITOR}


def check(resource: dict[str, Any]) -> None:
    """Raises ValidationError, of jsonschema or of kubernetes-validate."""
    schema = OF_OTHERS.get(resource["kind"])
    if schema is None:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
        return
    jsonschema.validate(resource, schema)
    if resource["kind"] == "RayService":
        for group in groups_of(resource):
            check(pod_template(group["template"]))
        service = {"apiVersion": "v1", "kind": "Service", **resource["spec"]["serveService"]}
        check(service)


def pod_template(template: dict[str, Any]) -> dict[str, Any]:
    """The resource that is nothing but a template of pods."""
    return {
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "any"},
        "template": template,
    }  # fmt: skip


def groups_of(ray_service: dict[str, Any]) -> list[dict[str, Any]]:
    """The head's group, that of routers, those of workers."""
    cluster = ray_service["spec"]["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def serve_config_of(ray_service: dict[str, Any]) -> dict[str, Any]:
    """What is in its text."""
    found: dict[str, Any] = yaml.safe_load(ray_service["spec"]["serveConfigV2"])
    return found


def understood(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Resources by the names of their files; what is a text in them is what it says."""
    found = {}
    for path, text in texts.items():
        name = path.rpartition("/")[2]
        resource = yaml.safe_load(text)
        if name == "ray-service.yaml":
            resource["spec"]["serveConfigV2"] = serve_config_of(resource)
        found[name] = resource
    return found
