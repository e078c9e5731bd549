"""Which reader a checkpoint wants."""

from pathlib import Path

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.hugging_face import HuggingFaceCheckpoint


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint that lies there. Raises CheckpointError for what cannot be served."""
    return HuggingFaceCheckpoint(path)
