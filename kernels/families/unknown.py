"""What is said of an architecture that is not known."""

from contextlib import suppress
from difflib import get_close_matches

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.base import read_config
from raylax.kernels.families.known import CLASSIFIES, FAMILIES
from raylax.kernels.families.values import Asked, Config

OF_NO_MEANING = (
    "_", "architectures", "attention_dropout", "auto_map", "bos_token_id", "dtype",
    "eos_token_id", "initializer_range", "model_type", "pad_token_id", "torch_dtype",
    "transformers_version", "use_cache",
)  # fmt: skip
"""How keys begin that change nothing of what is computed."""
NAMED = 6
"""Keys at most."""


def unknown(architecture: str, config: Config) -> CheckpointError:
    """The nearest family by its name, and what it would not understand of the config."""
    labels = architecture.endswith(CLASSIFIES)
    alike = [name for name, family in FAMILIES.items() if family.labels == labels]
    nearest = get_close_matches(architecture, alike, 1, 0.0)[0]
    more = ", ".join(strange(nearest, config))
    return CheckpointError(
        f"config.json: architecture {architecture} is not supported; the nearest that is: {nearest}"
        + (f", which does not know {more}" if more else "")
        + "; `raylax models` lists all"
    )


def strange(nearest: str, config: Config) -> list[str]:
    """Keys of the config that the family does not look at; none where it cannot be read as one."""
    asked = Asked(config)
    with suppress(CheckpointError):
        read_config(FAMILIES[nearest], asked)
        keys = sorted(
            key for key in config
            if key not in asked.looked_at and not key.startswith(OF_NO_MEANING)
        )  # fmt: skip
        more = [f"and {len(keys) - NAMED} more"] if len(keys) > NAMED else []
        return [*keys[:NAMED], *more]
    return []
