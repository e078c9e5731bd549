"""Which reader a checkpoint wants."""

from pathlib import Path

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.hugging_face import HuggingFaceCheckpoint
from raylax.kernels.checkpoints.mlc.checkpoint import CONFIG as PACKAGE
from raylax.kernels.checkpoints.mlc.checkpoint import MlcCheckpoint

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
