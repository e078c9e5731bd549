"""Reads config.json into a DecoderSpec. A family is a table of where it differs from Llama."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.weight_table import Names
from raylax.kernels.spec import DecoderSpec, Rope

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """What one architecture says in its config that others say otherwise, or not at all."""

    architecture: str
    qkv_bias: bool | None = None
    """Whether queries, keys and values have a bias; None: as `attention_bias` in the config
    says."""
    output_bias: bool | None = None
    head_dim: int | None = None
    """What is meant when the config has no head_dim; None: hidden_size / heads."""
    sliding_window: bool = False
    """Whether `sliding_window` limits attention (Qwen2 asks `use_sliding_window` as well)."""
    elsewhere: Mapping[str, Names] = field(default_factory=dict)
    """Tensors of weights that do not lie where Llama has them, see `weight_table`."""


def number(config: Config, key: str, default: float | None = None) -> Any:
    """A positive number of the config. Raises CheckpointError."""
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise CheckpointError(f"config.json: {key} must be a positive number, found {value!r}")
    return value


def read_rope(config: Config) -> Rope:
    """transformers 5 keeps everything in `rope_parameters`, older versions in two keys."""
    table: dict[str, Any] = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = number(table, "rope_theta", config.get("rope_theta", 10000.0))
    kind = table.get("rope_type", table.get("type", "default"))
    if kind == "default":
        return Rope(theta)
    if kind == "linear":
        return Rope(theta, "linear", number(table, "factor"))
    if kind == "llama3":
        return Rope(
            theta,
            "llama3",
            number(table, "factor"),
            number(table, "low_freq_factor"),
            number(table, "high_freq_factor"),
            number(table, "original_max_position_embeddings"),
        )
    known = "default, linear, llama3"
    raise CheckpointError(f"config.json: rope scaling {kind!r} is not supported, only {known}")


def read_config(family: Family, config: Config) -> DecoderSpec:
    """The spec of a checkpoint; CheckpointError names the key that does not fit."""
    heads = number(config, "num_attention_heads")
    hidden = number(config, "hidden_size")
    bias = bool(config.get("attention_bias", False))
    positions = number(config, "max_position_embeddings", 4096)
    window = config.get("sliding_window")
    if family.sliding_window and window and config.get("use_sliding_window", True):
        positions = min(positions, window)
    spec = DecoderSpec(
        architecture=family.architecture,
        hidden=hidden,
        layers=number(config, "num_hidden_layers"),
        heads=heads,
        kv_heads=number(config, "num_key_value_heads", heads),
        head_dim=config.get("head_dim") or family.head_dim or hidden // heads,
        intermediate=number(config, "intermediate_size"),
        vocab=number(config, "vocab_size"),
        rope=read_rope(config),
        norm_eps=number(config, "rms_norm_eps", 1e-6),
        max_positions=positions,
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=bias if family.qkv_bias is None else family.qkv_bias,
        output_bias=bias if family.output_bias is None else family.output_bias,
    )
    refuse_what_we_lack(spec, config)
    return spec


def refuse_what_we_lack(spec: DecoderSpec, config: Config) -> None:
    """Raises CheckpointError for what the step would compute otherwise than the model means it."""
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        raise CheckpointError(f"config.json: hidden_act {activation!r} is not supported, only silu")
    if config.get("mlp_bias"):
        raise CheckpointError("config.json: mlp_bias true is not supported")
    if config.get("quantization_config"):
        raise CheckpointError(
            "config.json: quantization_config is not supported; serve the unquantized checkpoint "
            "and choose a format by --quantization"
        )
    for name in ("hidden", "head_dim", "intermediate"):
        if getattr(spec, name) % 32:
            raise CheckpointError(
                f"config.json: {name} must be a multiple of 32, found {getattr(spec, name)}"
            )
    if spec.heads % spec.kv_heads:
        raise CheckpointError(
            "config.json: num_attention_heads must be a multiple of num_key_value_heads, "
            f"found {spec.heads} and {spec.kv_heads}"
        )
