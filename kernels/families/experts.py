"""What a config.json says of experts."""

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import Config, count, switch
from raylax.kernels.spec import DecoderSpec, Experts


def experts_of(config: Config, size: str, normalised: bool = False) -> Experts:
    """`size`: the key of how many units each has; `normalised`: where `norm_topk_prob` does not
    say. Raises CheckpointError."""
    number = count(config, "num_experts", count(config, "num_local_experts", 1))
    chosen = count(config, "num_experts_per_tok")
    if chosen > number:
        raise CheckpointError(
            f"config.json: num_experts_per_tok must be at most the {number} experts, found {chosen}"
        )
    normalised = switch(config, "norm_topk_prob", normalised)
    return Experts(number, chosen, count(config, size), normalised=normalised)


def check_all_have_experts(config: Config, spec: DecoderSpec) -> None:
    """Raises CheckpointError for layers that have an MLP instead."""
    every, without = count(config, "decoder_sparse_step", 1), config.get("mlp_only_layers")
    if every > 1 or without:
        key, found = ("mlp_only_layers", without) if without else ("decoder_sparse_step", every)
        raise CheckpointError(
            f"config.json: {spec.architecture} must have experts in all layers; {key} says "
            f"otherwise, found {found!r}"
        )
