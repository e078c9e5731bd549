"""Which reader a checkpoint wants."""

from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.hugging_face import HuggingFaceCheckpoint
from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.checkpoints.mlc.checkpoint import CONFIG as PACKAGE
from raylax.kernels.checkpoints.mlc.checkpoint import MlcCheckpoint
from raylax.kernels.errors import CheckpointError

GGUF = ".gguf"
"""How the name of such a file ends."""


def open_checkpoint(path: Path, weights: bool = True) -> Checkpoint:
    """The checkpoint that lies there, a directory or a file. Raises CheckpointError for what cannot
    be served. Without `weights`, those of a directory are not looked at, and need not be there."""
    if path.suffix == GGUF:
        from raylax.kernels.checkpoints.gguf.checkpoint import GgufCheckpoint  # a third of a second

        return GgufCheckpoint(path)
    if (path / PACKAGE).exists():
        return MlcCheckpoint(path, weights=weights)
    return HuggingFaceCheckpoint(path, weights=weights)


def config_written(path: Path) -> dict[str, Any] | None:
    """What a directory's own configuration says, as it is written there: that of a package of MLC,
    or Hugging Face's. None: it has none, as a file alone. Raises CheckpointError."""
    for name in (PACKAGE, "config.json"):
        if (path / name).is_file():
            told = read_json(path / name)
            if not isinstance(told, dict):
                raise CheckpointError(f"{path / name}: must be a JSON object")
            return told
    return None
