"""What a config.json says of experts."""

from collections.abc import Iterable
from dataclasses import replace

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import Config, count, number, switch, whole
from raylax.kernels.spec import DecoderSpec, Experts


def experts_of(config: Config, size: str, normalised: bool = False) -> Experts:
    """`size`: the key of how many units each has; `normalised`: where `norm_topk_prob` does not
    say. Raises CheckpointError."""
    every = count(config, "num_experts", count(config, "num_local_experts", 1))
    chosen = count(config, "num_experts_per_tok")
    if chosen > every:
        raise CheckpointError(
            f"config.json: num_experts_per_tok must be at most the {every} experts, found {chosen}"
        )
    normalised = switch(config, "norm_topk_prob", normalised)
    return Experts(every, chosen, count(config, size), normalised=normalised)


def corrected(config: Config, experts: Experts) -> Experts:
    """Experts as DeepSeek V3 chooses them, by sigmoids and in groups:
    https://arxiv.org/abs/2412.19437. Raises CheckpointError."""
    groups, some = count(config, "n_group", 1), count(config, "topk_group", 1)
    if experts.count % groups or (groups > 1 and experts.count < 2 * groups):
        raise CheckpointError(
            f"config.json: n_group must part the {experts.count} experts into groups of equally "
            f"many, at least 2, found {groups}"
        )
    if some > groups or some * (experts.count // groups) < experts.chosen:
        raise CheckpointError(
            f"config.json: topk_group must be at most the {groups} groups, and so many that they "
            f"have {experts.chosen} experts, found {some}"
        )
    return replace(
        experts, scores="sigmoid", corrected=True, groups=groups, groups_chosen=some,
        scale=number(config, "routed_scaling_factor", 1.0),
    )  # fmt: skip


def with_experts(
    config: Config, spec: DecoderSpec, experts: Experts, beside: int, dense: Iterable[int] = ()
) -> DecoderSpec:
    """A spec with experts, and beside them an MLP of so many units; in `dense` layers an MLP of
    `intermediate_size` stands instead of both. Raises CheckpointError."""
    layers = tuple(sorted({layer for layer in dense if 0 <= layer < spec.layers}))
    units = count(config, "intermediate_size") if layers else 0
    if len(layers) == spec.layers:
        return replace(spec, intermediate=units)
    experts = replace(experts, dense=layers, dense_intermediate=units)
    return replace(spec, experts=experts, intermediate=beside)


def first_dense(config: Config, spec: DecoderSpec, usual: int) -> range:
    """Layers that have an MLP by `first_k_dense_replace`. Raises CheckpointError."""
    return range(min(spec.layers, whole(config, "first_k_dense_replace", usual)))


def dense_by_turns(config: Config, spec: DecoderSpec) -> list[int]:
    """Layers that have an MLP by `decoder_sparse_step` and `mlp_only_layers`. Raises
    CheckpointError."""
    every, named = count(config, "decoder_sparse_step", 1), config.get("mlp_only_layers") or []
    if not isinstance(named, list) or any(type(one) is not int for one in named):
        raise CheckpointError(
            f"config.json: mlp_only_layers must be a list of layers, found {named!r}"
        )
    return [layer for layer in range(spec.layers) if layer in named or (layer + 1) % every]
