"""A Helm chart: the same resources, in which what one may want otherwise are values.

What pods there are follows from the configuration, which is one of the values: whoever changes
there which keys, certificates, devices or models there are makes the chart anew.
"""

from dataclasses import replace
from importlib.metadata import version
from typing import Any

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.manifests.around import around
from raylax.cluster.manifests.needs import needs
from raylax.cluster.manifests.service import ray_service
from raylax.cluster.manifests.site import Pods, Site
from raylax.cluster.manifests.words import text_of, word

OPTIONAL = {"network-policy": "networkPolicy", "pod-monitor": "podMonitor"}
"""Files that a value leaves out."""
CONFIG = ".Values.config"
MODELS = f"{CONFIG}.models"
NAMES = (
    '.Release.Name (printf "%s.%s" .Release.Name .Release.Namespace) '
    '(printf "%s.%s.svc" .Release.Name .Release.Namespace) '
    '(printf "%s.%s.svc.cluster.local" .Release.Name .Release.Namespace)'
)
"""By which pods ask for it."""


def chart(site: Site, config: ClusterConfig) -> dict[str, str]:
    """Files by their paths in the chart's directory."""
    values, made = values_of(site, config), with_words(site)
    resources = {"ray-service": ray_service(made), **around(made)}
    templates = {
        f"templates/{name}.yaml": if_wanted(name, text_of(resource))
        for name, resource in resources.items()
    }
    return {
        "Chart.yaml": text_of(about()),
        "values.yaml": text_of(values),
        "templates/NOTES.txt": "".join(f"{line}\n" for line in needs(made)).replace(
            str(made.name), "{{ .Release.Name }}"
        ),
        **templates,
    }


def about() -> dict[str, Any]:
    return {
        "apiVersion": "v2",
        "name": "raylax",
        "description": "Open-weights language models on a Ray cluster, by KubeRay",
        "type": "application",
        "version": version("raylax"),
        "appVersion": version("raylax"),
        "kubeVersion": ">=1.27.0-0",
    }


def values_of(site: Site, config: ClusterConfig) -> dict[str, Any]:
    """values.yaml. How many pods there are is the configuration's to say; by which names they are
    asked, that of the release."""
    said = said_by(site)
    if "allowed_hosts" in said:
        said["allowed_hosts"] = list(config.allowed_hosts)
    return {
        "image": site.image,
        "imagePullPolicy": site.pull_policy,
        **{name: given for name, given in of_the_volume(site).items() if given is not None},
        "head": size_of(site.head),
        "routers": size_of(site.routers),
        "workers": {pods.name: size_of(pods) for pods in site.workers},
        "networkPolicy": {"enabled": True},
        "podMonitor": {"enabled": False},
        "config": said,
    }


def of_the_volume(site: Site) -> dict[str, Any]:
    """Values that are there if the site has them."""
    return {
        "volumeClaim": site.claim,
        "volumeSize": site.claim_size,
        "storageClass": site.storage_class,
    }


def said_by(site: Site) -> dict[str, Any]:
    """The configuration, as it is before words are in its place."""
    assert not isinstance(site.args, str)
    return dict(site.args)


def size_of(pods: Pods) -> dict[str, Any]:
    return {"cpus": pods.cpus, "memory": pods.memory}


def with_words(site: Site) -> Site:
    """The same with words in the place of values."""
    said = said_by(site)
    workers = tuple(
        worker_with_words(pods, f"(index {MODELS} {n})" if "models" in said else CONFIG)
        for n, pods in enumerate(site.workers)
    )
    count = word(f"{CONFIG}.routers | int")
    ranges = " ".join(f"(ne ({inside(pods.least)}) ({inside(pods.most)}))" for pods in workers)
    args = CONFIG
    if "allowed_hosts" in said:
        hosts = f"(concat {CONFIG}.allowed_hosts (list {NAMES}))"
        args = f'merge (dict "allowed_hosts" {hosts}) {CONFIG}'
    return replace(
        site,
        name=word(".Release.Name"),
        namespace=word(".Release.Namespace"),
        image=word(".Values.image"),
        pull_policy=word(".Values.imagePullPolicy"),
        claim=None if site.claim is None else word(".Values.volumeClaim"),
        claim_size=None if site.claim_size is None else word(".Values.volumeSize"),
        storage_class=None if site.storage_class is None else word(".Values.storageClass"),
        args=word(f"{args} | toJson"),
        head=sized(site.head, ".Values.head"),
        routers=replace(
            sized(site.routers, ".Values.routers"), least=count, first=count, most=count
        ),
        workers=workers,
        scales=word(f"or {ranges}"),
    )


def worker_with_words(pods: Pods, config: str) -> Pods:
    values = f'(index .Values.workers "{pods.name}")'
    return replace(
        sized(pods, values),
        cpus_of_a_rank=word(f"div {values}.cpus {pods.ranks}"),
        least=word(f"{config}.replicas | int"),
        first=word(f"max 1 ({config}.replicas | int)"),
        most=word(f"{config}.max_replicas | int"),
    )


def sized(pods: Pods, values: str) -> Pods:
    return replace(pods, cpus=word(f"{values}.cpus"), memory=word(f"{values}.memory"))


def inside(leaf: object) -> str:
    """The expression of a word."""
    return str(leaf)[1:-1]


def if_wanted(name: str, text: str) -> str:
    if name not in OPTIONAL:
        return text
    return f"{{{{- if .Values.{OPTIONAL[name]}.enabled }}}}\n{text}{{{{- end }}}}\n"
