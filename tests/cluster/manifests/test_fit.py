"""What cannot work in pods is one line, with that of the file."""

from pathlib import Path

import pytest

from raylax.cluster.errors import UserError
from raylax.cluster.manifests.files import manifests
from raylax.cluster.manifests.site import Options

SHARED = Options(volume_claim="models")
KEY = f"{{name: a, sha256: '{'0' * 64}'}}"
WRONG = {
    "a host of one machine": ("host: 127.0.0.1", "host: pods have addresses of their own"),
    "an address of some machine": ("host: 10.0.0.5", "host: pods have addresses of their own"),
    "a port of Ray's": ("port: 8265", "port: Ray has this port in every pod (dashboard)"),
    "a port of Serve's": ("grpc_port: 40001", "grpc_port: Ray has this port in every pod (worker)"),
    "keys": (f"keys: [{KEY}]", "keys: belong into the Secret raylax-keys"),
    "a file of keys": ("api_keys_file: ./keys", "api_keys_file: no pod has this file: /etc"),
    "a certificate": ("tls_cert: c.pem\ntls_key: k.pem", "tls_cert: no pod has this file: /etc/"),
    "files on one machine": ("files_directory: /srv/files", "files_directory: routers are in"),
    "a directory": ("model: ./llama", "model: no pod has this path: org/name of a hub"),
    "a file": ("model: /models/a.gguf", "model: no pod has this path: org/name of a hub"),
    "nothing that there is": ("model: llama", "model: no pod has this path: org/name of a hub"),
    "a short name": ("model: smollm2", "model: which files a short name means"),
    "a draft's directory": (
        "engine: {additional_models: [./draft]}",
        "engine.additional_models: no pod has this path",
    ),
    "a draft's library": (
        "engine: {additional_models: [[org/draft, /lib/x]]}",
        "engine.additional_models: no pod has this path",
    ),
    "a library": ("model_lib: /lib/x", "model_lib: no pod has this path"),
    "a GPU by number": ("device: cuda:1", "device: a pod's GPUs are its worker's: cuda, or cpu"),
    "a part of a GPU": ("device: cuda\ngpus_per_rank: 0.5", "gpus_per_rank: Kubernetes gives pods"),
    "machines that join": (
        "cluster: 10.0.0.2\ncluster_secret: /secret",
        "cluster: KubeRay brings the machines",
    ),
    "ranks on several machines": (
        "placement: cluster\ntensor_parallel_shards: 2",
        "placement: all ranks of a worker are in one pod",
    ),
}


def refused(text: str, file: Path, options: Options = SHARED) -> str:
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        manifests(file, options, helm=False)
    return str(caught.value)


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_named_with_its_line(what: str, tmp_path: Path) -> None:
    """Behind two lines that are right."""
    wrong, said = WRONG[what]
    file = tmp_path / "raylax.yaml"
    key = said.partition(":")[0].partition(".")[0]
    line = 3 + [one.startswith(key) for one in wrong.splitlines()].index(True)

    answer = refused(f"# for a cluster\nmode: server\n{wrong}\n", file)

    assert answer.startswith(f"{file}:{line}: {said}")


def test_what_is_wrong_with_one_of_several_models(tmp_path: Path) -> None:
    file = tmp_path / "raylax.yaml"
    models = "models:\n  - model: org/right\n  - replicas: 2\n    model: ./wrong\n"

    assert refused(models, file).startswith(f"{file}:4: models.1.model: no pod has this path")


def test_a_setting_above_its_models_is_named_where_the_model_is(tmp_path: Path) -> None:
    file = tmp_path / "raylax.yaml"
    text = "device: cuda:1\nmodels:\n  - model: org/one\n"

    assert refused(text, file).startswith(f"{file}:3: models.0.device: a pod's GPUs are its")


def test_a_path_of_the_volume_needs_the_claim(tmp_path: Path) -> None:
    file = tmp_path / "raylax.yaml"
    text = "model: /var/lib/raylax/llama\n"

    assert "below /var/lib/raylax with --volume-claim" in refused(text, file, Options())
    manifests(file, SHARED, helm=False)


def test_a_mistake_of_the_file_itself_is_told_as_by_serve(tmp_path: Path) -> None:
    file = tmp_path / "raylax.yaml"

    assert refused("replicsa: 3", file) == f"{file}: unknown key 'replicsa'; did you mean replicas?"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(name="Raylax"), "--name must be at most 40 small letters"),
        (Options(name="a" * 41), "--name must be at most 40 small letters"),
        (Options(namespace="a_b"), "--namespace must be small letters"),
        (Options(volume_claim="a", volume_size="1 TB"), "--volume-size must be a quantity"),
        (Options(volume_size="1Ti"), "--volume-size needs --volume-claim, found 1Ti without it"),
        (Options(storage_class="nfs"), "--storage-class needs --volume-size, found nfs without"),
        (Options(memory="8 GB"), "--memory must be a quantity as 8Gi, found '8 GB'"),
        (Options(image="a b"), "--image must be an image's name, found 'a b'"),
    ],
)
def test_options_that_kubernetes_would_not_take(options: Options, said: str) -> None:
    with pytest.raises(UserError) as caught:
        manifests(None, options, helm=False)

    assert str(caught.value).startswith(said)
