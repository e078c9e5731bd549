"""What a config.json says of each layer."""

from collections.abc import Sequence
from dataclasses import replace

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import Config, count
from raylax.kernels.spec import DecoderSpec, Local, Rope

KINDS = ("full_attention", "sliding_attention")


def flags(config: Config, key: str, default: Sequence[bool]) -> list[bool]:
    """Whether each layer is something. Raises CheckpointError."""
    found = config.get(key)
    if found is None:
        return list(default)
    if (
        not isinstance(found, list)
        or len(found) != len(default)
        or any(one not in (0, 1) for one in found)
    ):
        raise CheckpointError(
            f"config.json: {key} must be a list of {len(default)} times 0 or 1, found {found!r}"
        )
    return [bool(one) for one in found]


def all_but_each(number: int, spec: DecoderSpec) -> tuple[int, ...]:
    """Layers but each so many-th."""
    return tuple(layer for layer in range(spec.layers) if (layer + 1) % number)


def sliding(config: Config, spec: DecoderSpec, usual: tuple[int, ...]) -> tuple[int, ...]:
    """Layers that see a window; `usual`: where the config does not say. Raises CheckpointError."""
    kinds = config.get("layer_types")
    if kinds is None:
        return usual
    if (
        not isinstance(kinds, list)
        or len(kinds) != spec.layers
        or any(one not in KINDS for one in kinds)
    ):
        raise CheckpointError(
            f"config.json: layer_types must be {spec.layers} times {' or '.join(KINDS)}, "
            f"found {kinds!r}"
        )
    return tuple(layer for layer, kind in enumerate(kinds) if kind == KINDS[1])


def with_windows(
    config: Config, spec: DecoderSpec, usual: tuple[int, ...], rope: Rope | None = None
) -> DecoderSpec:
    """A spec whose layers see a window, or some do. `rope`: theirs, where it is not the others'."""
    layers = sliding(config, spec, usual)
    window = 0 if config.get("sliding_window") is None else count(config, "sliding_window")
    if window >= spec.max_positions:
        window = 0
    own = rope or spec.rope
    if not layers or (not window and own == spec.rope):
        return replace(spec, window=0)
    if len(layers) == spec.layers:
        return replace(spec, window=window, rope=own)
    return replace(spec, window=0, local=Local(layers, window, own))
