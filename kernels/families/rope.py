"""What a config.json says of rotary embedding."""

import math
from dataclasses import replace

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import LARGEST, Config, count, number, switch
from raylax.kernels.spec import Rope

KINDS = "default, dynamic, linear, llama3, longrope, yarn"


def rope_table(config: Config, kind: str = "full_attention") -> Config:
    """transformers 5 keeps everything in `rope_parameters`, perhaps by kind of layer; older
    versions in `rope_scaling`, and theta beside it."""
    key = "rope_parameters" if config.get("rope_parameters") is not None else "rope_scaling"
    table = {} if config.get(key) is None else config[key]
    if isinstance(table, dict) and isinstance(nested := table.get(kind), dict):
        table = nested
    if not isinstance(table, dict):
        raise CheckpointError(f"config.json: {key} must be an object, found {table!r}")
    return table


def read_rope(
    config: Config,
    head_dim: int,
    neighbours: bool = False,
    theta: float = 10000.0,
    share: float = 1.0,
) -> Rope:
    """The frequencies. `theta`, and `share` of a head that is rotated: where the config does not
    say. Raises CheckpointError."""
    table = rope_table(config)
    theta = number(table, "rope_theta", number(config, "rope_theta", theta))
    rope = Rope(theta, turned=turned(config, table, head_dim, share), neighbours=neighbours)
    match kind := table.get("rope_type") or table.get("type") or "default":
        case "default" | "dynamic" | "mrope":
            # the second differs beyond what the model is meant for; the third counts images by rows
            # and columns, and texts as all others do
            return rope
        case "linear":
            return replace(rope, scaling="linear", factor=number(table, "factor"))
        case "llama3":
            return llama3(rope, table)
        case "yarn":
            return yarn(rope, table, config)
        case "longrope" | "su":
            return longrope(rope, table, config)
        case "factors":  # what files have that were made for llama.cpp
            return replace(rope, scaling="factors", factors=factors_of(table, "factors"))
    raise CheckpointError(f"config.json: rope scaling {kind!r} is not supported, only {KINDS}")


def rope_of_local(config: Config, head_dim: int, theta: float) -> Rope:
    """Of layers that see a window, which is not scaled unless it is said. `theta`: where the config
    has none for them."""
    named = config.get("rope_parameters")
    own = named.get("sliding_attention") if isinstance(named, dict) else None
    if not isinstance(own, dict):
        return Rope(theta)
    return read_rope({**config, "rope_parameters": own}, head_dim, theta=theta)


def turned(config: Config, table: Config, head_dim: int, usual: float) -> int:
    """How many dims of a head are rotated; 0: all."""
    share = number(table, "partial_rotary_factor", number(config, "partial_rotary_factor", usual))
    dims = int(head_dim * share)
    if dims == head_dim:
        return 0
    if share > 1 or dims % 2 or not dims or head_dim % 2:
        raise CheckpointError(
            f"config.json: partial_rotary_factor must be at most 1, and make an even number of "
            f"{head_dim} dims, found {share:g}"
        )
    return dims


def llama3(rope: Rope, table: Config) -> Rope:
    low, high = number(table, "low_freq_factor"), number(table, "high_freq_factor")
    if low >= high:
        raise CheckpointError(
            f"config.json: low_freq_factor must be below high_freq_factor, found {low:g} "
            f"and {high:g}"
        )
    return replace(
        rope, scaling="llama3", factor=number(table, "factor"), low_freq_factor=low,
        high_freq_factor=high,
        original_positions=count(table, "original_max_position_embeddings"),
    )  # fmt: skip


def yarn(rope: Rope, table: Config, config: Config) -> Rope:
    """https://arxiv.org/abs/2309.00071, and what DeepSeek says of magnitudes beside it."""
    positions = count(config, "max_position_embeddings", 4096)
    factor = number(table, "factor")
    if rope.theta <= 1:
        raise CheckpointError(
            f"config.json: rope_theta must be above 1 with yarn, found {rope.theta:g}"
        )
    magnitude = number(table, "attention_factor", of_yarn(factor))
    if table.get("mscale") is not None and table.get("mscale_all_dim") is not None:
        scales = (of_yarn(factor, number(table, key)) for key in ("mscale", "mscale_all_dim"))
        magnitude = number(table, "attention_factor", next(scales) / next(scales))
    return replace(
        rope, scaling="yarn", factor=factor, magnitude=magnitude,
        original_positions=count(table, "original_max_position_embeddings", positions),
        beta_fast=number(table, "beta_fast", 32.0), beta_slow=number(table, "beta_slow", 1.0),
        truncate=switch(table, "truncate", True),
    )  # fmt: skip


def of_yarn(factor: float, scale: float = 1.0) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1


def longrope(rope: Rope, table: Config, config: Config) -> Rope:
    """https://arxiv.org/abs/2402.13753: frequencies for sequences within the original positions,
    and others where there may be longer ones."""
    positions = count(config, "max_position_embeddings", 4096)
    original = count(
        config, "original_max_position_embeddings",
        count(table, "original_max_position_embeddings", positions),
    )  # fmt: skip
    factor = positions / original
    if config.get("original_max_position_embeddings") is None and table.get("factor") is not None:
        factor = number(table, "factor")
    grown = 1.0
    if factor > 1 and original > 1:
        grown = math.sqrt(1 + math.log(factor) / math.log(original))
    return replace(
        rope, scaling="factors", factors=factors_of(table, "short_factor"),
        long_factors=factors_of(table, "long_factor"), original_positions=original,
        magnitude=number(table, "attention_factor", grown),
    )  # fmt: skip


def factors_of(table: Config, key: str) -> tuple[float, ...]:
    """Raises CheckpointError for what is no list of positive numbers."""
    values = table.get(key)
    if (
        not isinstance(values, list)
        or not values
        or not all(type(one) in (int, float) and 0 < one < LARGEST for one in values)
    ):
        raise CheckpointError(f"config.json: {key} must be positive numbers")
    return tuple(float(one) for one in values)
