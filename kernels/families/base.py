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
    mlp_bias: bool | None = None
    """Whether the MLP has biases; None: as `mlp_bias` in the config says."""
    head_dim: int | None = None
    """What is meant when the config has no head_dim; None: hidden_size / heads."""
    sliding_window: bool = False
    """Whether `sliding_window` limits attention where `use_sliding_window` does not say."""
    default_window: int | None = None
    """What is meant when the config has no sliding_window at all; null is none."""
    elsewhere: Mapping[str, Names] = field(default_factory=dict)
    """Tensors of weights that do not lie where Llama has them, see `weight_table`."""
    beside: str = ""
    """How the names of tensors begin that the model does without; empty: there are none."""


LARGEST = 1e30
"""Above any number that is meant."""
MOST = 2**31 - 1
"""Of any size in a config: beyond it nothing is meant."""


def number(config: Config, key: str, default: float | None = None) -> float:
    """A positive number of the config; null is as absent. Raises CheckpointError."""
    value: Any = default if config.get(key) is None else config[key]
    if type(value) not in (int, float) or not 0 < value < LARGEST:
        raise CheckpointError(f"config.json: {key} must be a positive number, found {value!r}")
    return float(value)


def count(config: Config, key: str, default: int | None = None) -> int:
    """A positive integer of the config; null is as absent. Raises CheckpointError."""
    value: Any = default if config.get(key) is None else config[key]
    if type(value) is not int or not 0 < value <= MOST:
        raise CheckpointError(
            f"config.json: {key} must be a positive integer, at most {MOST}, found {value!r}"
        )
    return value


def switch(config: Config, key: str, default: bool = False) -> bool:
    """True or false of the config; null is as absent. Raises CheckpointError."""
    value = default if config.get(key) is None else config[key]
    if type(value) is not bool:
        raise CheckpointError(f"config.json: {key} must be true or false, found {value!r}")
    return value


def rope_table(config: Config) -> Config:
    """transformers 5 keeps everything in `rope_parameters`, perhaps by kind of layer; older
    versions in `rope_scaling`, and theta beside it."""
    key = "rope_parameters" if config.get("rope_parameters") is not None else "rope_scaling"
    table = {} if config.get(key) is None else config[key]
    if isinstance(table, dict) and isinstance(nested := table.get("full_attention"), dict):
        table = nested
    if not isinstance(table, dict):
        raise CheckpointError(f"config.json: {key} must be an object, found {table!r}")
    return table


def read_rope(config: Config) -> Rope:
    """The frequencies. Raises CheckpointError."""
    table = rope_table(config)
    theta = number(table, "rope_theta", number(config, "rope_theta", 10000.0))
    kind = table.get("rope_type") or table.get("type") or "default"
    for where in (config, table):
        if number(where, "partial_rotary_factor", 1.0) != 1:
            raise CheckpointError(
                "config.json: partial_rotary_factor must be 1, "
                f"found {where['partial_rotary_factor']!r}"
            )
    if kind == "default":
        return Rope(theta)
    if kind == "linear":
        return Rope(theta, "linear", number(table, "factor"))
    if kind == "llama3":
        low, high = number(table, "low_freq_factor"), number(table, "high_freq_factor")
        if low >= high:
            raise CheckpointError(
                f"config.json: low_freq_factor must be below high_freq_factor, found {low:g} "
                f"and {high:g}"
            )
        original = count(table, "original_max_position_embeddings")
        return Rope(theta, "llama3", number(table, "factor"), low, high, original)
    if kind == "factors":  # what files have that were made for llama.cpp
        return Rope(theta, "factors", factors=factors_of(table))
    known = "default, linear, llama3"
    raise CheckpointError(f"config.json: rope scaling {kind!r} is not supported, only {known}")


def factors_of(table: Config) -> tuple[float, ...]:
    """Raises CheckpointError for what is no list of positive numbers."""
    values = table.get("factors")
    if not isinstance(values, list) or not all(
        isinstance(one, float) and 0 < one < LARGEST for one in values
    ):
        raise CheckpointError("config.json: factors must be positive numbers")
    return tuple(values)


def longest_sequence(family: Family, config: Config, rope: Rope) -> tuple[int, int]:
    """Tokens of the longest sequence that the model is meant for, with its window and without.
    Linear scaling stretches what `max_position_embeddings` says; with llama3 that is the stretched
    length already."""
    positions = count(config, "max_position_embeddings", 4096)
    if rope.scaling == "linear":
        positions = min(MOST, max(1, int(positions * rope.factor)))
    absent = family.default_window if "sliding_window" not in config else None
    window = config.get("sliding_window", absent)
    if window and switch(config, "use_sliding_window", family.sliding_window):
        return min(positions, count(config, "sliding_window", absent)), positions
    return positions, positions


def read_config(family: Family, config: Config) -> DecoderSpec:
    """The spec of a checkpoint; CheckpointError names the key that does not fit."""
    heads = count(config, "num_attention_heads")
    hidden = count(config, "hidden_size")
    bias, mlp_bias = switch(config, "attention_bias"), switch(config, "mlp_bias")
    rope = read_rope(config)
    limited, unlimited = longest_sequence(family, config, rope)
    spec = DecoderSpec(
        architecture=family.architecture,
        hidden=hidden,
        layers=count(config, "num_hidden_layers"),
        heads=heads,
        kv_heads=count(config, "num_key_value_heads", heads),
        head_dim=count(config, "head_dim", family.head_dim or max(1, hidden // heads)),
        intermediate=count(config, "intermediate_size"),
        vocab=count(config, "draft_vocab_size", count(config, "vocab_size")),
        embeds=0 if config.get("draft_vocab_size") is None else count(config, "vocab_size"),
        rope=rope,
        norm_eps=number(config, "rms_norm_eps", 1e-6),
        max_positions=limited,
        unlimited_positions=unlimited if unlimited > limited else 0,
        tied_embeddings=switch(config, "tie_word_embeddings"),
        qkv_bias=bias if family.qkv_bias is None else family.qkv_bias,
        output_bias=bias if family.output_bias is None else family.output_bias,
        mlp_bias=mlp_bias if family.mlp_bias is None else family.mlp_bias,
    )
    refuse_what_we_lack(spec, config)
    return spec


def refuse_what_we_lack(spec: DecoderSpec, config: Config) -> None:
    """Raises CheckpointError for what the step would compute otherwise than the model means it."""
    if spec.embeds and spec.tied_embeddings:
        raise CheckpointError(
            "config.json: tie_word_embeddings must be false where draft_vocab_size says that some "
            "of the tokens have logits, found True"
        )
    activation = config.get("hidden_act") or "silu"
    if activation not in ("silu", "swish"):
        raise CheckpointError(
            f"config.json: hidden_act {activation!r} is not supported, only silu, also called swish"
        )
    if spec.head_dim % 2:
        raise CheckpointError(
            f"config.json: head_dim must be even, for halves are rotated, found {spec.head_dim}"
        )
    if spec.rope.factors and len(spec.rope.factors) != spec.head_dim // 2:
        raise CheckpointError(
            f"config.json: factors must be {spec.head_dim // 2}, half of a head's dims, found "
            f"{len(spec.rope.factors)}"
        )
    if spec.heads % spec.kv_heads:
        raise CheckpointError(
            "config.json: num_attention_heads must be a multiple of num_key_value_heads, "
            f"found {spec.heads} and {spec.kv_heads}"
        )
