"""Opens what was changed, and holds the readers to what they promise: there is a checkpoint, whole
and of the right shapes, or a line that says why not. Never another exception; in bounded time and
memory.
"""

import faulthandler
import random
import resource
import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from raylax.kernels.checkpoints.groups import Kind
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import tensors_of
from raylax.proto.text.files import TextFiles
from tests.support.fuzz.changes import change
from tests.support.fuzz.seeds import SEEDS

PATIENCE_S = 10
MORE_MEMORY = 1 << 30
"""Bytes of addresses beyond those that there are; a file that is mapped counts."""


@dataclass(frozen=True)
class Finding:
    """A promise that was not kept."""

    case: str
    why: str


class TooSlow(BaseException):
    """A reader hangs."""


@lru_cache
def pristine(root: Path, name: str) -> tuple[Path, Path]:
    """A seed's directory, and what is to be opened, in it."""
    directory = root / "seeds" / name
    opened = SEEDS[name](directory)
    for inside in directory.iterdir():
        if inside.is_dir():
            shutil.rmtree(inside)
    return directory, opened.relative_to(directory)


def one(root: Path, name: str, seed: int) -> tuple[str, Finding | None]:
    """What comes of a case: the line that it was refused with, or nothing; and what was broken."""
    case = root / "case"
    shutil.rmtree(case, ignore_errors=True)
    directory, opened = pristine(root, name)
    shutil.copytree(directory, case)
    change(case, random.Random(f"{name} {seed}"))
    try:
        with within_memory():
            use(case / opened)
    except CheckpointError as error:
        said = str(error)
        if not said.isprintable():
            return said, Finding(f"{name} {seed}", f"not one line of text: {ascii(said)[:300]}")
        return said, None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(last))
        return "", Finding(
            f"{name} {seed}", f"{type(error).__name__}: {str(error)[:200]} at {where}"
        )
    return "", None


def use(path: Path) -> None:
    """All that anybody asks of a checkpoint."""
    found = open_checkpoint(path)
    assert found.identity
    for name, shape in tensors_of(found.spec):
        values = found.tensor(name)
        assert values.shape == shape, (name, values.shape, shape)
        found.tensor(name, slice(1, 5))
        if isinstance(found.form(name), Kind) and len(shape) == 2:
            with np.errstate(all="ignore"):
                assert found.groups(name).values().shape == shape
        for dtype in ("float16", "bfloat16"):
            bits = found.bits(name, dtype)
            assert bits is None or bits.shape == shape
    read_text(found.text)


def read_text(directory: Path) -> None:
    """Its readers are the router's, and say ValueError."""
    try:
        files = TextFiles(directory)
        assert files.end_token_ids is not None
        files.chat_templates()
        files.tokenizer()
    except (ValueError, OSError):
        pass


@contextmanager
def within_memory() -> Iterator[None]:
    """What takes more raises MemoryError."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def within_time() -> Iterator[None]:
    """What takes longer raises TooSlow; what no signal interrupts ends the process, and shows where
    it was."""

    def over(*_: object) -> None:
        raise TooSlow(f"longer than {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(PATIENCE_S)
    faulthandler.dump_traceback_later(2 * PATIENCE_S, exit=True)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
