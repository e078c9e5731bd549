"""Model names to checkpoint directories."""

import re
import stat
from pathlib import Path

from raylax.kernels.errors import CheckpointError

HUB = re.compile(r"(HF://|hf://|https://huggingface\.co/)(?P<repository>[\w.-]+/[\w.-]+)/?$")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+$")
"""How a repository of the hub is written, and a directory as well."""

GGUF = ".gguf"
FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "merges.txt", "*.tiktoken"]


def resolve_model(model: str) -> Path:
    """A directory or a GGUF file as it is; HF://org/name is downloaded to Hugging Face's own cache.
    Raises CheckpointError for what is neither, with what to give instead."""
    named = HUB.match(model)
    if not named:
        return place_of(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(named["repository"], allow_patterns=FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise CheckpointError(f"{model}: cannot be downloaded: {error}") from error


def place_of(model: str) -> Path:
    """The directory, or the GGUF file, that a path names. Raises CheckpointError."""
    path = Path(model).expanduser()
    try:
        found = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        found = 0
    except (OSError, ValueError) as error:  # too long, not ours, or a byte that no path has
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{ascii(model)}: cannot be read: {reason}") from None
    if model and (stat.S_ISDIR(found) or (found and path.suffix == GGUF)):
        return path
    if found and model:
        raise CheckpointError(f"{model}: is a file; give a GGUF file, or a checkpoint's directory")
    if REPOSITORY.fullmatch(model) and not model.startswith("."):
        raise CheckpointError(
            f"{model}: no such directory; to have it from Hugging Face, write HF://{model}"
        )
    kind = "file" if path.suffix == GGUF else "directory"
    raise CheckpointError(f"{model}: no such {kind}; give a checkpoint's, or HF://org/name")
