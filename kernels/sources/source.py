"""What somebody typed for a model, as a value. Nothing is asked of anybody here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from raylax.kernels.checkpoints.readers import GGUF
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.short_names import ShortName, short_name

Hub = Literal["huggingface", "modelscope"]
LONGEST = 96
"""Characters of a repository's name, as the hub has it."""
WRITTEN = "org/name, org/name@revision, org/name:Q4_K_M or org/name/file.gguf"
HOSTS: dict[str, tuple[Hub, str]] = {
    "huggingface.co": ("huggingface", ""),
    "hf.co": ("huggingface", ""),
    "modelscope.cn": ("modelscope", "models/"),
    "modelscope.ai": ("modelscope", "models/"),
}
"""Hosts, and what their addresses of models begin with."""
SCHEMES: dict[str, Hub] = {
    "hf": "huggingface", "huggingface": "huggingface",
    "ms": "modelscope", "modelscope": "modelscope",
}  # fmt: skip
VIEWS = ("tree", "blob", "resolve", "raw")
"""What stands between a repository and a revision in an address."""
OTHERS = ("datasets", "spaces", "collections", "papers")
"""What else hubs have addresses of."""
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
REPOSITORY = re.compile(
    r"(?P<name>[^/@:]+/[^/@:]+)(@(?P<revision>[^:@]+))?(:(?P<quantisation>[^/:@]+))?"
)
REVISION = re.compile(r"[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Local:
    """A path, whether something is there or not."""

    path: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A model of a hub, not yet asked for."""

    hub: Hub
    name: str
    """org/name."""
    revision: str | None = None
    """A branch, a tag or a commit; None: what is current."""
    inside: str = ""
    """A file or a directory in it; else its root."""
    quantisations: tuple[str, ...] = ()
    """Of a GGUF, the first that there is; else what a reader takes first."""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        inside = f"/{self.inside}" if self.inside else ""
        return f"{self.name}{revision}{inside}"


Source = Local | Repository | ShortName


def source_of(model: str, is_there: Callable[[str], bool], endpoint: str = "") -> Source:
    """`is_there`: whether a path is; what is goes before all names. `endpoint`: of a mirror, whose
    addresses are the hub's, too. Raises CheckpointError for a name that no repository can have."""
    if not model.isprintable():
        return Local(model)
    if remote := address(model, endpoint):
        return remote
    if is_there(model) or is_path(model):
        return Local(model)
    if named := short_name(model):
        return named
    first, _, rest = model.partition("/")
    if first and rest:
        return repository("huggingface", model, model)
    return Local(model)


def is_path(model: str) -> bool:
    """Whether nobody would mean anything else."""
    return model.startswith(("/", ".", "~")) or (
        model.endswith(GGUF) and model.count("/") < 2 and ":" not in model
    )


def address(model: str, endpoint: str) -> Repository | None:
    """What an address of a hub names, with a scheme or without. Raises CheckpointError."""
    scheme, colon, rest = model.partition("://")
    if colon and (hub := SCHEMES.get(scheme.lower())):
        return repository(hub, rest.rstrip("/"), model)
    mirror = endpoint.rstrip("/") + "/"
    if endpoint and model.startswith(mirror):
        return viewed("huggingface", model.removeprefix(mirror), model)
    if colon and scheme.lower() not in ("http", "https"):
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise CheckpointError(f"{model}: {scheme}:// is not known; {known} and https:// are")
    host, _, path = (rest if colon else model).partition("/")
    if (found := HOSTS.get(host.lower().removeprefix("www."))) is None:
        if colon:
            raise CheckpointError(
                f"{model}: must be an address of {', '.join(HOSTS)}, or of HF_ENDPOINT's mirror"
            )
        return None
    hub, beginning = found
    if not path.startswith(beginning):
        raise CheckpointError(f"{model}: must name a model, as {host}/{beginning}org/name")
    return viewed(hub, path.removeprefix(beginning), model)


def viewed(hub: Hub, path: str, model: str) -> Repository:
    """org/name, or what a browser shows of it: org/name/blob/main/file.gguf?download=true."""
    parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
    if parts[0] in OTHERS:
        raise CheckpointError(f"{model}: must name a model, and {parts[0]} are none")
    if len(parts) > 2 and parts[2] == "files":  # ModelScope's page of the files
        parts = parts[:2]
    if len(parts) < 4 or parts[2] not in VIEWS:
        return repository(hub, "/".join(parts), model)
    length = 3 if parts[3] == "refs" else 1
    revision, inside = "/".join(parts[3 : 3 + length]), "/".join(parts[3 + length :])
    return checked(Repository(hub, "/".join(parts[:2]), revision, inside), model)


def repository(hub: Hub, text: str, model: str) -> Repository:
    """Of `org/name`, with all that may follow. Raises CheckpointError."""
    org, _, rest = text.partition("/")
    name, _, inside = rest.partition("/")
    if name.endswith("@refs"):  # of refs/pr/1
        more = inside.split("/")
        name, inside = "/".join([name, *more[:2]]), "/".join(more[2:])
    match = REPOSITORY.fullmatch(f"{org}/{name}")
    if match is None:
        raise CheckpointError(f"{ascii(model)}: must be {WRITTEN}")
    label = match["quantisation"] or ""
    if label.endswith(GGUF):
        label, inside = "", label
    made = Repository(hub, match["name"], match["revision"], inside, (label,) if label else ())
    return checked(made, model)


def checked(made: Repository, model: str) -> Repository:
    """Raises CheckpointError for what would not be a name, but a way out of a directory."""
    for part in made.name.split("/"):
        if not PART.fullmatch(part) or ".." in part or "--" in part or part.endswith((".", ".git")):
            raise CheckpointError(
                f"{ascii(model)}: no such file or directory, and {ascii(made.name)} can be no "
                f"repository's name: {WRITTEN}"
            )
    if len(made.name) > LONGEST:
        raise CheckpointError(f"{ascii(model)}: a repository has at most {LONGEST} characters")
    if made.revision is not None and (
        not REVISION.fullmatch(made.revision) or ".." in made.revision
    ):
        raise CheckpointError(f"{ascii(model)}: {ascii(made.revision)} can be no revision's name")
    if not is_sane(made.inside or "x"):
        raise CheckpointError(f"{ascii(model)}: {ascii(made.inside)} can be no file's name")
    for label in made.quantisations:
        if not LABEL.fullmatch(label):
            raise CheckpointError(f"{ascii(model)}: {ascii(label)} can be no quantisation's name")
    return made


def is_sane(path: str) -> bool:
    """Whether it is a path that stays where it is put, wherever that is."""
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & {*parts}
