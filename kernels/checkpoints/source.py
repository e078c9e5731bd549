"""Model names to checkpoint directories."""

import re
from pathlib import Path

from raylax.kernels.errors import CheckpointError

HUB = re.compile(r"(HF://|hf://|https://huggingface\.co/)(?P<repository>[\w.-]+/[\w.-]+)/?$")
FILES = ["*.json", "*.safetensors", "*.jinja"]


def resolve_model(model: str) -> Path:
    """A directory as it is; HF://org/name is downloaded to Hugging Face's own cache."""
    named = HUB.match(model)
    if not named:
        return Path(model).expanduser()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(named["repository"], allow_patterns=FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise CheckpointError(f"{model}: cannot be downloaded: {error}") from error
