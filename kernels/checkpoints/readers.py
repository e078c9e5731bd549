"""Which reader a checkpoint wants."""

from pathlib import Path

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.hugging_face import HuggingFaceCheckpoint
from raylax.kernels.checkpoints.mlc.checkpoint import CONFIG as PACKAGE
from raylax.kernels.checkpoints.mlc.checkpoint import MlcCheckpoint

GGUF = ".gguf"
"""How the name of such a file ends."""


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint that lies there, a directory or a file. Raises CheckpointError for what cannot
    be served."""
    if path.suffix == GGUF:
        from raylax.kernels.checkpoints.gguf.checkpoint import GgufCheckpoint  # a third of a second

        return GgufCheckpoint(path)
    if (path / PACKAGE).exists():
        return MlcCheckpoint(path)
    return HuggingFaceCheckpoint(path)
