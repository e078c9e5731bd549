"""Which of a repository's files a model is: decided from their names and sizes alone.

Never two sets of the same weights: no .bin beside safetensors, no GGUF beside either, nothing of
`original/` and the like.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from raylax.kernels.checkpoints.readers import GGUF
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.source import Repository, is_sane

MOST_FILES = 20_000
SHOWN = 20
PREFERRED = ("Q4_K_M", "Q8_0")
"""Of a repository of GGUF files, where nobody says: what llama.cpp and Ollama take."""
PART = re.compile(r"(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})")
LABEL = re.compile(
    r"(?:^|[-._/])(?P<maker>(?:UD|i1)-)?"
    r"(?P<label>I?Q\d+(?:_[0-9A-Z]+)*|TQ\d_\d|B?F16|F32|FP16|FP32|MXFP4(?:_MOE)?)$",
    re.IGNORECASE,
)
"""How a GGUF's name ends, and its directory's."""
OTHER_NAMES = {"FP16": "F16", "FP32": "F32"}
NO_MODEL = re.compile(r"mmproj|imatrix|^(mtp|eagle3|dflash|dspark)-", re.IGNORECASE)
"""GGUF files that belong to a model, and are none."""
PACKAGE = "mlc-chat-config.json"
TEXT = re.compile(r".+\.(json|jinja|model|tiktoken)|merges\.txt|params_shard_\d+\.bin")
"""Files of a directory besides its weights; an MLC package's weights are among them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as a hub lists it."""

    path: str
    size: int
    digest: str
    """Of its content: sha256 in 64 digits, or the 40 of a git blob; "" where nobody says."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fetched of a repository."""

    files: tuple[Listed, ...]
    model: str
    """The GGUF among them, the first of its parts, or the directory; "" is the root."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Gguf:
    """A model in one file or in several."""

    stem: str
    """Its path without the numbers of parts and the ending."""
    files: tuple[Listed, ...]
    parts: int

    @property
    def label(self) -> str:
        """As UD-Q4_K_XL; "" if its name does not say."""
        return f"{self._named[0]}{self._named[1]}"

    @property
    def plain(self) -> str:
        """The label without who made it."""
        return self._named[1]

    @property
    def _named(self) -> tuple[str, str]:
        for name in (self.stem, self.stem.rpartition("/")[0]):
            if match := LABEL.search(name):
                label = match["label"].upper()
                return (match["maker"] or "").upper(), OTHER_NAMES.get(label, label)
        return "", ""


def wanted(listing: Sequence[Listed], asked: Repository) -> Wanted:
    """Raises CheckpointError, with what there is, for what is not there or not one thing."""
    if len(listing) > MOST_FILES:
        raise CheckpointError(f"{asked}: may list {MOST_FILES} files, found {len(listing)}")
    for file in listing:
        if not is_sane(file.path):
            raise CheckpointError(f"{asked}: lists {ascii(file.path)}, which is no name of a file")
    if asked.inside.endswith(GGUF):
        return named(listing, asked)
    below = f"{asked.inside}/" if asked.inside else ""
    there = [file for file in listing if file.path.startswith(below)]
    if not there:
        raise CheckpointError(f"{asked}: no such file or directory there; {shown(listing)}")
    if asked.quantisations:
        return one_of(ggufs(there), asked.quantisations, asked)
    beside = [file for file in there if "/" not in file.path.removeprefix(below)]
    if directory := checkpoint(beside, below):
        return Wanted(tuple(directory), asked.inside)
    return one_of(ggufs(there), (), asked)


def named(listing: Sequence[Listed], asked: Repository) -> Wanted:
    """A GGUF by its file's name, with all of its parts."""
    for gguf in ggufs(listing):
        if any(file.path == asked.inside for file in gguf.files):
            return whole(gguf, asked)
    raise CheckpointError(f"{asked}: no such file there; {shown(listing, GGUF)}")


def checkpoint(files: Sequence[Listed], below: str) -> list[Listed]:
    """Those of a directory that a reader wants; none if it is no checkpoint."""
    names = {file.path.removeprefix(below): file for file in files}
    text = [file for name, file in names.items() if TEXT.fullmatch(name)]
    if PACKAGE in names:
        return text
    text = [file for file in text if not file.path.endswith(".bin")]
    for ending, prefix in ((".safetensors", "model"), (".bin", "pytorch_model")):
        weights = [name for name in names if name.endswith(ending)]
        usual = [name for name in weights if name.startswith(prefix)]
        sharded = [name for name in usual if PART.match(name)]
        index = f"{prefix}{ending}.index.json" in names
        chosen = (index and sharded) or usual or (weights if ending == ".safetensors" else [])
        if chosen and "config.json" in names:
            return [*text, *(names[name] for name in chosen)]
    return []


def ggufs(files: Iterable[Listed]) -> list[Gguf]:
    """Each model among them."""
    found = []
    for file in files:
        stem, dot, ending = file.path.rpartition(".")
        if f".{ending}" == GGUF and not NO_MODEL.search(file.path.rpartition("/")[2]):
            match = PART.fullmatch(stem)
            key = (match["stem"], int(match["count"])) if match else (stem, 1)
            found.append((key, file))
    found.sort(key=lambda one: (one[0], one[1].path))
    return [
        Gguf(stem, tuple(file for _, file in group), parts)
        for (stem, parts), group in groupby(found, key=lambda one: one[0])
    ]


def one_of(there: Sequence[Gguf], labels: Sequence[str], asked: Repository) -> Wanted:
    """The GGUF of the first label that there is."""
    for label in labels or PREFERRED:
        wanted_label = OTHER_NAMES.get(label.upper(), label.upper())
        same = [one for one in there if one.label == wanted_label]
        same = same or [one for one in there if one.plain == wanted_label]
        if len(same) > 1:
            raise CheckpointError(
                f"{asked}: {len(same)} models there are {wanted_label}: name one as "
                f"{asked.name}/FILE; {listed([one.files[0].path for one in same])}"
            )
        if same:
            return whole(same[0], asked)
    if not there:
        raise CheckpointError(
            f"{asked}: there is no model of ours in it: no config.json with safetensors or .bin "
            "files, no mlc-chat-config.json, no GGUF"
        )
    if not labels and len(there) == 1:
        return whole(there[0], asked)
    said = " or ".join(labels or PREFERRED)
    names = [one.label or one.files[0].path for one in there]
    raise CheckpointError(f"{asked}: has no GGUF of {said}, but {listed(sorted(names))}")


def whole(gguf: Gguf, asked: Repository) -> Wanted:
    """Raises CheckpointError for a model of which parts are missing."""
    if len(gguf.files) != gguf.parts:
        raise CheckpointError(
            f"{asked}: {gguf.stem} is of {gguf.parts} parts, and {len(gguf.files)} are there"
        )
    return Wanted(gguf.files, gguf.files[0].path)


def shown(files: Sequence[Listed], ending: str = "") -> str:
    return "there are " + listed([one.path for one in files if one.path.endswith(ending)])


def listed(names: Sequence[str]) -> str:
    """Some names in a line."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more
