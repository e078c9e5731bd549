"""Manifests and the chart: taken by Kubernetes' schemas, the same in both; what they ask for."""

import json
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from jsonschema.exceptions import ValidationError

from raylax.cluster.manifests.files import manifests, write
from raylax.cluster.manifests.site import Options
from raylax.cluster.models.names import deployment_names
from tests.support.kubernetes import check, groups_of, serve_config_of, understood
from tests.support.paths import ROOT

COMMITTED = ROOT / "deploy" / "kubernetes"
RELEASE = Options(
    name="llm", namespace="prod", volume_claim="models", volume_size="200Gi", storage_class="nfs"
)
CONFIGS = {
    "the default": "",
    "GPUs": """
model: Qwen/Qwen3-8B@main
device: cuda
tensor_parallel_shards: 2
replicas: 1
max_replicas: 4
""",
    "keys and TLS": """
model: Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
api_keys_file: /etc/raylax/keys/keys.yaml
tls_cert: /etc/raylax/tls/tls.crt
tls_key: /etc/raylax/tls/tls.key
files_directory: /var/lib/raylax/files
limits: {request_timeout_s: 30}
""",
    "several models": """
models:
  - {model: org/one, replicas: 0, max_replicas: 2, engine: {threads: 3}}
  - {model: /var/lib/raylax/two, served_model_name: Zwei!, tensor_parallel_shards: 2}
routers: 3
allowed_hosts: [chat.example.org]
""",
}


@pytest.fixture(scope="module", params=CONFIGS)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("config") / "raylax.yaml"
    made.write_text(CONFIGS[request.param])
    return made


def made(name: str, tmp_path: Path, options: Options = RELEASE) -> dict[str, dict[str, Any]]:
    """Resources of one of the configurations."""
    file = tmp_path / "raylax.yaml"
    file.write_text(CONFIGS[name])
    return understood(manifests(file, options, helm=False))


def rendered(directory: Path, values: dict[str, Any]) -> dict[str, str]:
    """What a chart comes to, as it is installed by the name of RELEASE."""
    with helm_python.Chart.load(directory) as chart:
        found: dict[str, str] = chart.render(
            values=values, name=RELEASE.name, namespace=RELEASE.namespace
        )
    return found


def test_kubernetes_takes_them(file: Path) -> None:
    for text in manifests(file, RELEASE, helm=False).values():
        check(yaml.safe_load(text))


@pytest.mark.filterwarnings("ignore")  # Ray 2.60 and its dependencies warn when imported
def test_serve_takes_what_it_is_told(file: Path) -> None:
    """And the builder that it names is there."""
    from ray._common.utils import import_attr
    from ray.serve.schema import ServeDeploySchema

    config = serve_config_of(yaml.safe_load(manifests(file, RELEASE, False)["ray-service.yaml"]))
    (application,) = ServeDeploySchema(**config).applications

    assert callable(import_attr(application.import_path))


def test_a_chart_comes_to_the_same(file: Path, tmp_path: Path) -> None:
    """Each resource, from the same values."""
    write(manifests(file, RELEASE, helm=True), tmp_path)
    texts = rendered(tmp_path, {"podMonitor": {"enabled": True}})
    notes = texts.pop("raylax/templates/NOTES.txt")

    assert understood(texts) == understood(manifests(file, RELEASE, helm=False))
    assert f"{RELEASE.name}-grpc:9000" in notes


def test_helm_finds_nothing_wrong_with_a_chart(file: Path, tmp_path: Path) -> None:
    """But that it has no picture."""
    write(manifests(file, RELEASE, helm=True), tmp_path)
    found = helm_python.lint(tmp_path, strict=True)

    assert found["errors"] == []
    assert [one["error"] for one in found["messages"]] == ["icon is recommended"]


def test_values_of_a_chart_are_followed(tmp_path: Path) -> None:
    """Also where one follows from another."""
    write(manifests(None, RELEASE, helm=True), tmp_path)
    (group,) = yaml.safe_load((tmp_path / "values.yaml").read_text())["workers"]
    values = {
        "image": "registry/raylax:2", "workers": {group: {"cpus": 6, "memory": "9Gi"}},
        "config": {"replicas": 0, "max_replicas": 3, "mode": "local", "routers": 4},
        "networkPolicy": {"enabled": False},
    }  # fmt: skip
    texts = rendered(tmp_path, values)
    found = understood({name: text for name, text in texts.items() if "ray-service" in name})
    spec = found["ray-service.yaml"]["spec"]
    (application,) = spec["serveConfigV2"]["applications"]
    routers, workers = spec["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]

    assert spec["rayClusterConfig"]["enableInTreeAutoscaling"] is True
    assert routers["replicas"] == application["args"]["routers"] == 4
    assert [workers[key] for key in ("minReplicas", "replicas", "maxReplicas")] == [0, 1, 3]
    assert container["image"] == "registry/raylax:2"
    assert container["resources"]["limits"] == {"cpu": 6, "memory": "9Gi"}
    assert workers["rayStartParams"]["num-cpus"] == "6"
    assert application["deployments"][2]["ray_actor_options"]["num_cpus"] == 6
    assert application["args"]["mode"] == "local"
    assert texts["raylax/templates/network-policy.yaml"].strip() == ""
    assert texts["raylax/templates/pod-monitor.yaml"].strip() == ""


@pytest.mark.parametrize(("directory", "helm"), [("plain", False), ("chart", True)])
def test_what_is_committed_is_what_the_code_makes(directory: str, helm: bool) -> None:
    """Else run `raylax manifests -o deploy/kubernetes/plain`, and with --helm into chart."""
    root = COMMITTED / directory
    found = {str(one.relative_to(root)): one.read_text() for one in root.rglob("*.*")}

    assert found == manifests(None, Options(), helm)


def test_a_claim_is_made_where_its_size_is_said(tmp_path: Path) -> None:
    """All pods write there, and it stays when all else goes; else who installs is told of it."""
    claim = made("GPUs", tmp_path)["models-claim.yaml"]
    there = Options(name="llm", volume_claim="models")
    texts = manifests(tmp_path / "raylax.yaml", there, helm=False)

    assert claim["metadata"]["name"] == "models"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "nfs",
        "resources": {"requests": {"storage": "200Gi"}},
    }
    assert "models-claim.yaml" not in texts
    assert "# A volume claim that all pods can mount" in texts["ray-service.yaml"]


def test_a_pod_has_time_to_hand_over_what_it_does(tmp_path: Path) -> None:
    """A router's calls go on to their ends, `limits.request_timeout_s` at most, once there is
    another router; a worker's move."""
    service = made("keys and TLS", tmp_path)["ray-service.yaml"]
    groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    router, worker = (group["template"]["spec"] for group in groups)
    (of_router,), (of_worker,) = router["containers"], worker["containers"]
    leaves = ["raylax", "leave", "--within"]

    assert of_router["lifecycle"]["preStop"]["exec"]["command"] == [*leaves, "90"]
    assert of_worker["lifecycle"]["preStop"]["exec"]["command"] == [*leaves, "60"]
    assert router["terminationGracePeriodSeconds"] == 105
    assert worker["terminationGracePeriodSeconds"] == 75


def test_a_worker_on_gpus_has_a_pod_of_them(tmp_path: Path) -> None:
    """Both ranks in one pod, and Ray is told so; pods come and go."""
    service = made("GPUs", tmp_path)["ray-service.yaml"]
    worker = service["spec"]["serveConfigV2"]["applications"][0]["deployments"][2]
    cluster = service["spec"]["rayClusterConfig"]
    _, workers = cluster["workerGroupSpecs"]
    pod = workers["template"]["spec"]
    resource = "raylax_" + workers["groupName"].replace("-", "_")

    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert pod["initContainers"][0]["command"] == [
        "raylax", "pull", "Qwen/Qwen3-8B@main", "--device", "cuda"
    ]  # fmt: skip
    assert worker["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 1, "resources": {resource: 1}}
    assert worker["placement_group_bundles"] == [
        {"CPU": 2, "GPU": 1, resource: 1}, {"CPU": 2, "GPU": 1}
    ]  # fmt: skip
    assert cluster["enableInTreeAutoscaling"] is True
    assert (workers["minReplicas"], workers["maxReplicas"]) == (1, 4)


def test_every_model_has_its_own_pods(tmp_path: Path) -> None:
    """By what Ray knows of them, and by Serve's names of their workers."""
    service = made("several models", tmp_path)["ray-service.yaml"]
    told = service["spec"]["serveConfigV2"]["applications"][0]
    head, routers, one, _ = groups_of(service)
    names = [entry["served_model_name"] for entry in told["args"]["models"]]

    assert names == ["org/one", "Zwei!"]
    assert [d["name"] for d in told["deployments"]][2:] == deployment_names(names)
    assert routers["replicas"] == told["args"]["routers"] == 3
    assert one["rayStartParams"]["num-cpus"] == "3"
    assert (one["minReplicas"], one["replicas"], one["maxReplicas"]) == (0, 1, 2)
    assert head["rayStartParams"]["num-cpus"] == routers["rayStartParams"]["num-cpus"] == "0"
    for group, deployment in zip(groups_of(service), told["deployments"], strict=True):
        (needed,) = deployment["ray_actor_options"]["resources"]
        assert needed in resources_of(group)


def resources_of(group: dict[str, Any]) -> dict[str, float]:
    """As the shell of a pod hands it to Ray, and as its autoscaler for KubeRay reads it."""
    text: str = group["rayStartParams"]["resources"]
    found: dict[str, float] = json.loads(text[1:-1].replace("\\", ""))
    return found


@pytest.mark.filterwarnings("ignore")
def test_rays_autoscaler_reads_what_pods_have(tmp_path: Path) -> None:
    from ray.autoscaler._private.kuberay.autoscaling_config import _get_custom_resources

    for group in groups_of(made("the default", tmp_path)["ray-service.yaml"]):
        read = _get_custom_resources({}, group["rayStartParams"], "any")
        assert read == resources_of(group)


def test_no_secret_stands_in_a_manifest(tmp_path: Path) -> None:
    """Files are of Secrets, and so is Prometheus' key; what must be made is said at the top."""
    file = tmp_path / "raylax.yaml"
    file.write_text(CONFIGS["keys and TLS"])
    texts = manifests(file, RELEASE, helm=False)
    found = understood(texts)
    (endpoint,) = found["pod-monitor.yaml"]["spec"]["podMetricsEndpoints"]
    pods = [group["template"]["spec"] for group in groups_of(found["ray-service.yaml"])]
    secrets = [
        [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        for pod in pods
    ]
    said = [line for line in texts["ray-service.yaml"].splitlines() if line.startswith("#")]

    assert secrets == [["llm-keys", "llm-tls"]] * 3
    assert endpoint["authorization"]["credentials"] == {"name": "llm-metrics", "key": "key"}
    for secret in ("llm-keys", "llm-metrics", "llm-tls", "llm-hub"):
        assert any(f"create secret generic {secret} " in line for line in said)
    assert found["ray-service.yaml"]["spec"]["rayClusterDeletionDelaySeconds"] == 90


@pytest.mark.parametrize(
    ("name", "kind", "protocol"),
    [("the default", "grpc", "kubernetes.io/h2c"), ("keys and TLS", "httpGet", "https")],
)
def test_routers_are_ready_when_they_serve(
    name: str, kind: str, protocol: str, tmp_path: Path
) -> None:
    """By gRPC's health; kubelet cannot ask for it where there is TLS. No other pod speaks gRPC."""
    found = made(name, tmp_path)
    _, routers, workers = groups_of(found["ray-service.yaml"])
    (port,) = found["grpc-service.yaml"]["spec"]["ports"]
    (container,) = routers["template"]["spec"]["containers"]
    selector = found["grpc-service.yaml"]["spec"]["selector"]
    labels = routers["template"]["metadata"]["labels"]

    assert kind in container["readinessProbe"]
    assert port["appProtocol"] == protocol
    assert port["targetPort"] in [one["name"] for one in container["ports"]]
    assert selector == {**labels, "ray.io/serve": "true"}
    assert workers["template"]["metadata"]["labels"] != labels


def test_pods_ask_by_the_names_of_the_service(tmp_path: Path) -> None:
    """Which nobody has to know who asks without a key."""
    told = made("several models", tmp_path)["ray-service.yaml"]["spec"]["serveConfigV2"]

    assert told["applications"][0]["args"]["allowed_hosts"] == [
        "chat.example.org", "llm", "llm.prod", "llm.prod.svc", "llm.prod.svc.cluster.local"
    ]  # fmt: skip


def test_no_pod_is_root_or_may_become_it(file: Path) -> None:
    """As the restricted standard of Kubernetes has it."""
    service = yaml.safe_load(manifests(file, RELEASE, helm=False)["ray-service.yaml"])
    for group in groups_of(service):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "rayClusterConfig", "headGroupSpec", "replica"), 1),
        (("spec", "rayClusterConfig", "workerGroupSpecs", 0, "maxReplicas"), "2"),
        (("spec", "rayClusterConfig", "headGroupSpec", "template", "spec", "volume"), []),
        (("spec", "serveService", "spec", "port"), 1),
    ],
)
def test_the_schemas_would_say_so(path: tuple[str | int, ...], value: Any, tmp_path: Path) -> None:
    """A key that nobody knows, and a wrong kind of value, at every depth."""
    from kubernetes_validate import ValidationError as KubernetesError

    resource: Any = yaml.safe_load(manifests(None, RELEASE, helm=False)["ray-service.yaml"])
    place = resource
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    with pytest.raises((ValidationError, KubernetesError)):
        check(resource)
