"""Paths that somebody gave for a model."""

import stat
from pathlib import Path

from raylax.kernels.checkpoints.readers import GGUF
from raylax.kernels.errors import CheckpointError


def place_of(model: str) -> Path:
    """The directory, or the GGUF file, that a path names. Raises CheckpointError, with what to give
    instead."""
    shown = model if model.isprintable() else ascii(model)
    try:
        path = Path(model).expanduser()
    except RuntimeError:
        raise CheckpointError(f"{shown}: there is no such user") from None
    try:
        found = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        found = 0
    except (OSError, ValueError) as error:  # too long, not ours, or a byte that no path has
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{shown}: cannot be read: {reason}") from None
    if model and (stat.S_ISDIR(found) or (found and path.suffix == GGUF)):
        return path
    if found and model:
        raise CheckpointError(f"{shown}: is a file; give a GGUF file, or a checkpoint's directory")
    kind = "file" if path.suffix == GGUF else "directory"
    raise CheckpointError(
        f"{shown}: no such {kind}; give a checkpoint's, org/name of Hugging Face, or a short name "
        "that `raylax models` lists"
    )
