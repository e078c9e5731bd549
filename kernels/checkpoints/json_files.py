"""JSON files of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.regular import regular_size
from raylax.kernels.errors import CheckpointError

LARGEST_JSON = 128 << 20
"""Bytes; an index of a hundred thousand tensors takes a tenth of it."""


def read_json(path: Path, most: int = LARGEST_JSON) -> Any:
    """A file of the directory, of so many bytes at most. Raises CheckpointError."""
    try:
        regular_size(path, most)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: not a checkpoint, {path.name} is missing") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
