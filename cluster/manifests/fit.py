"""What of a configuration cannot work in pods, with the line of the file that says it."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from raylax.cluster.config.models import DEMO_MODEL
from raylax.cluster.config.schema import EVERY_ADDRESS, ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.manifests.places import KEYS_FILE, TLS, VOLUME
from raylax.cluster.manifests.site import Options
from raylax.cluster.manifests.told import drafts_of, there
from raylax.kernels.sources.short_names import ShortName
from raylax.kernels.sources.source import Local

Place = tuple[str | int, ...]
"""Keys and positions, from the top of a file."""
Mistake = tuple[Place, str]
DRAFTS: Place = ("engine", "additional_models")
NAME = re.compile("[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
"""KubeRay adds its own to ours, and Kubernetes takes 63 characters."""
NAMESPACE = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
QUANTITY = re.compile(r"[1-9]\d*(\.\d+)?([kMGT]i?)?")
RAYS = {
    6379: "GCS", 8076: "object manager", 8080: "metrics", 8265: "dashboard", 8404: "HAProxy's page",
    8500: "inner HTTP", 9101: "HAProxy's metrics", 9500: "inner gRPC", 10001: "client's",
    52365: "agent",
}  # fmt: skip
"""Ports that Ray has in every pod."""
RANGES = ((10002, 19999), (30000, 31000), (40000, 41000))
"""Of its workers, and of Serve's replicas."""
TLS_FILES = {"tls_cert": "tls.crt", "tls_key": "tls.key", "tls_client_ca": "ca.crt"}
"""As a Secret of Kubernetes' own kind has them."""


def check_fits(config: ClusterConfig, options: Options, file: Path | None) -> None:
    """Raises UserError with the first mistake, and the line in `file`."""
    for mistake in mistakes(config, options):
        raise UserError(worded(mistake, file))


def check_options(options: Options) -> None:
    """Raises UserError for what Kubernetes would not take."""
    if not NAME.fullmatch(options.name):
        raise UserError(
            f"--name must be at most 40 small letters, digits and - between them, found "
            f"{options.name!r}"
        )
    if options.namespace is not None and not NAMESPACE.fullmatch(options.namespace):
        raise UserError(
            f"--namespace must be small letters, digits and - between them, found "
            f"{options.namespace!r}"
        )
    if not QUANTITY.fullmatch(options.memory):
        raise UserError(f"--memory must be a quantity as 8Gi, found {options.memory!r}")
    if options.volume_size is not None and not QUANTITY.fullmatch(options.volume_size):
        raise UserError(f"--volume-size must be a quantity as 200Gi, found {options.volume_size!r}")
    for flag, given, needed, has in (
        ("--volume-size", options.volume_size, "--volume-claim", options.volume_claim),
        ("--storage-class", options.storage_class, "--volume-size", options.volume_size),
    ):
        if given is not None and has is None:
            raise UserError(f"{flag} needs {needed}, found {given} without it")
    if not options.image or not options.image.isprintable() or " " in options.image:
        raise UserError(f"--image must be an image's name, found {options.image!r}")


def mistakes(config: ClusterConfig, options: Options) -> Iterator[Mistake]:
    """In the order of what clients would notice first."""
    if "host" in config.model_fields_set and config.host not in EVERY_ADDRESS:
        yield ("host",), f"pods have addresses of their own: 0.0.0.0 or ::, found {config.host}"
    if config.cluster is not None:
        yield ("cluster",), f"KubeRay brings the machines: null, found {config.cluster}"
    yield from of_ports(config)
    yield from of_files(config, options)
    for number, one in enumerate(config.each):
        place: Place = ("models", number) if config.models else ()
        for key, why in of_a_model(one, options):
            yield (*place, *key), why


def of_ports(config: ClusterConfig) -> Iterator[Mistake]:
    for key in ("port", "grpc_port"):
        port: int = getattr(config, key)
        whose = RAYS.get(port)
        if any(first <= port <= last for first, last in RANGES):
            whose = "worker"
        if whose:
            yield (key,), f"Ray has this port in every pod ({whose}): another one, found {port}"


def of_files(config: ClusterConfig, options: Options) -> Iterator[Mistake]:
    if config.keys:
        yield (
            ("keys",),
            f"belong into the Secret {options.name}-keys, and not into what is shown to who may "
            f"read a RayService: put them into a file of their own, and say "
            f"api_keys_file: {KEYS_FILE}",
        )
    if config.api_keys_file is not None and str(config.api_keys_file) != KEYS_FILE:
        yield (
            ("api_keys_file",),
            f"no pod has this file: {KEYS_FILE}, which is that of the Secret {options.name}-keys, "
            f"found {config.api_keys_file}",
        )
    for key, name in TLS_FILES.items():
        given = getattr(config, key)
        if given is not None and str(given) != f"{TLS}/{name}":
            yield (
                (key,),
                f"no pod has this file: {TLS}/{name}, which is that of the Secret "
                f"{options.name}-tls, found {given}",
            )
    if config.files_directory is not None and not is_shared(config.files_directory, options):
        yield (
            ("files_directory",),
            f"routers are in several pods: below {VOLUME}, with --volume-claim, found "
            f"{config.files_directory}",
        )


def of_a_model(config: ClusterConfig, options: Options) -> Iterator[Mistake]:
    paths: list[tuple[Place, str]] = [(("model",), config.model)]
    for draft, library in drafts_of(config):
        paths.append((DRAFTS, draft))
        if library is not None:
            paths.append((DRAFTS, f"{library}/"))
    if config.model_lib is not None and config.has_weights:
        paths.append((("model_lib",), f"{config.model_lib}/"))
    for key, path in paths:
        yield from of_a_path(key, path, config, options)
    kind = config.device.partition(":")
    if config.device not in ("auto", "cpu", "cuda"):
        yield ("device",), f"a pod's GPUs are its worker's: cuda, or cpu, found {config.device}"
    if config.placement == "cluster" and config.ranks > 1:
        yield ("placement",), "all ranks of a worker are in one pod: host, found cluster"
    if kind[0] == "cuda" and config.gpus_per_rank != 1:
        yield (
            ("gpus_per_rank",),
            f"Kubernetes gives pods whole GPUs: 1, found {config.gpus_per_rank:g}",
        )


def of_a_path(key: Place, path: str, config: ClusterConfig, options: Options) -> Iterator[Mistake]:
    source = there(path)
    if isinstance(source, ShortName) and not source.label:
        yield (
            key,
            f"which files a short name means is each machine's to say: its repository, or size and "
            f"quantisation, too, as smollm2:360m-q8_0, found {path}",
        )
    if isinstance(source, Local) and path != DEMO_MODEL and not is_shared(Path(path), options):
        yield (
            key,
            f"no pod has this path: org/name of a hub, or one below {VOLUME} with --volume-claim, "
            f"found {path.rstrip('/')}",
        )


def is_shared(path: Path, options: Options) -> bool:
    """Whether it lies in the volume of all pods."""
    return options.volume_claim is not None and Path(VOLUME) in path.parents


def worded(mistake: Mistake, file: Path | None) -> str:
    """With the file, and the line if it says so there."""
    place, why = mistake
    where = "" if file is None else f"{file}:{line_of(place, file)} "
    return f"{where}{'.'.join(map(str, place))}: {why}"


def line_of(place: Place, file: Path) -> str:
    """Where the last of these keys stands, and a colon."""
    node = yaml.compose(file.read_text(encoding="utf-8"))
    line = ""
    for key in place:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == key]
            if not found:
                return line
            name, node = found[-1]
            line = f"{name.start_mark.line + 1}:"
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            node = node.value[key]
            line = f"{node.start_mark.line + 1}:"
    return line
