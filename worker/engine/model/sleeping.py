"""An engine whose model is off its device, for others to have the memory, and comes back.

Level 1: weights, pages and workspace are given back; what the weights are read from stays in the
host's memory as long as nobody needs that, so that waking is reading them again. Level 2: that is
let go as well. Either way the prefix cache is gone, and requests that run are aborted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raylax.kernels.memory import forget_files
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError

LEVELS = (1, 2)


def check_level(level: object) -> None:
    """Raises ConfigError for what is no level of sleep."""
    if type(level) is not int or level not in LEVELS:
        raise ConfigError(f"level must be 1 (weights off the device) or 2 (all), found {level!r}")


@dataclass(frozen=True, slots=True)
class Sleep:
    """How deep an engine sleeps, and what it is to be when it wakes up."""

    level: int
    config: EngineConfig
    """Of the same sizes as before."""

    def __str__(self) -> str:
        return f"the engine is asleep (level {self.level}): wake_up() first"


def let_go(checkpoint: Path, mapped: Path | None) -> None:
    """What a model's weights were read from need not stay in the host's memory."""
    forget_files(files_of(checkpoint))
    if mapped is not None:
        forget_files(files_of(mapped))


def files_of(path: Path) -> Iterator[Path]:
    """A file, or those of a directory."""
    yield from path.iterdir() if path.is_dir() else [path]
