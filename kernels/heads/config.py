"""What a head's config.json says, in the two ways that it is written: as EAGLE's authors do, and as
https://github.com/vllm-project/speculators does."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.base import Family, read_config
from raylax.kernels.families.values import Config, count, switch
from raylax.kernels.spec import DecoderSpec

SPECULATORS = "speculators_model_type"
TYPES = ("eagle", "eagle3")
LAYERS = "eagle_aux_hidden_state_layer_ids"


@contextlib.contextmanager
def named_after(path: Path) -> Iterator[None]:
    """Mistakes in a config name its directory: the base has one, too."""
    try:
        yield
    except CheckpointError as error:
        where = f"{path}/" if str(error).startswith("config.json") else ""
        raise CheckpointError(f"{where}{error}") from None


def config_in(path: Path) -> dict[str, Any]:
    """The config of a directory. Raises CheckpointError."""
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such directory")
    if not isinstance(config := read_json(path / "config.json"), dict):
        raise CheckpointError(f"{path}/config.json: must be a JSON object")
    return config


def check_same(path: Path, what: str, found: int, own: int) -> None:
    """Raises CheckpointError for a head of another base."""
    if found != own:
        raise CheckpointError(
            f"{path}: is a head of another base: its {what} is {found}, the base's {own}"
        )


def named_type(config: Config) -> str | None:
    """Of a config of speculators', which kind of head it is; None: it is EAGLE's own. Raises
    CheckpointError."""
    if SPECULATORS not in config:
        return None
    if (named := config[SPECULATORS]) not in TYPES:
        raise CheckpointError(
            f"config.json: {SPECULATORS} must be one of {', '.join(TYPES)}, found {named!r}"
        )
    return str(named)


def layer_of(config: Config) -> Config:
    """The settings of the head's layer."""
    if SPECULATORS not in config:
        return config
    layer = config.get("transformer_layer_config")
    if not isinstance(layer, Mapping):
        raise CheckpointError(
            f"config.json: transformer_layer_config must be an object, found {layer!r}"
        )
    return layer


def decoder_of(config: Config, names: Mapping[str, Any]) -> DecoderSpec:
    """The sizes of the head's layer; whether it has biases say the names of its tensors. Raises
    CheckpointError."""
    layer = layer_of(config)
    if (layers := count(layer, "num_hidden_layers", 1)) != 1:
        raise CheckpointError(f"config.json: num_hidden_layers of a head must be 1, found {layers}")
    at = "layers.0."
    family = Family(
        "",
        qkv_bias=f"{at}self_attn.q_proj.bias" in names,
        output_bias=f"{at}self_attn.o_proj.bias" in names,
        mlp_bias=f"{at}mlp.down_proj.bias" in names,
    )
    own = {"num_hidden_layers": 1, "tie_word_embeddings": False, "draft_vocab_size": None}
    return read_config(family, {**layer, **own})


def tapped_layers(config: Config, layers: int) -> tuple[int, ...]:
    """Which residual streams an EAGLE-3 head takes of a base of so many layers: what the config
    names, or those that EAGLE's authors take. Raises CheckpointError."""
    nested = config.get("eagle_config")
    settings = nested if isinstance(nested, Mapping) else {}
    if not switch(settings, "use_aux_hidden_state", True):
        raise CheckpointError("config.json: use_aux_hidden_state must be true, found False")
    named = config.get(LAYERS) or settings.get(LAYERS)
    if named is None:
        named = [2, layers // 2, layers - 3]
    if not isinstance(named, list) or not all(
        type(one) is int and 0 <= one <= layers for one in named
    ):
        raise CheckpointError(
            f"config.json: {LAYERS} must be numbers from 0 to the {layers} layers of the base, "
            f"found {named!r}"
        )
    return tuple(named)
