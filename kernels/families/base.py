"""Reads config.json into a DecoderSpec. A family is a table of where it differs from Llama."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.labels import with_labels
from raylax.kernels.families.rope import read_rope
from raylax.kernels.families.values import (
    MOST,
    Config,
    Renamed,
    count,
    number,
    switch,
    whole,
)
from raylax.kernels.families.weight_table import AS_LLAMA, Layout
from raylax.kernels.spec import Activation, DecoderSpec, Rope


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
    layout: Layout = AS_LLAMA
    """Where its checkpoints have what Llama has elsewhere."""
    in_gguf: Layout | None = None
    """The same of llama.cpp's files, by the names that others have; None: as in others."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Llama's names of what its config calls otherwise, by its own names."""
    tied: bool = False
    """Whether the embedding is the head where `tie_word_embeddings` does not say."""
    theta: float = 10000.0
    """Of rotary embedding where the config has none."""
    turned_share: float = 1.0
    """Of each head, that is rotated, where `partial_rotary_factor` does not say."""
    mlp_share: int | None = None
    """What times `hidden_size` is meant when the config has no intermediate_size; None: it must."""
    refuses: tuple[str, ...] = ()
    """Switches of the config that nothing is computed for."""
    neighbours: bool = False
    """Whether neighbouring dims are rotated with each other."""
    eps_key: str = "rms_norm_eps"
    default_eps: float = 1e-6
    default_activation: Activation = "silu"
    """Where `hidden_act` in the config does not say."""
    traits: Callable[[Config, DecoderSpec], DecoderSpec] | None = None
    """What else is other than in Llama: from a spec that is as Llama's to the family's own."""
    labels: bool = False
    """Whether its head has a row for each label of a text, and none for tokens."""
    headless: bool = False
    """Whether it has no head at all."""
    beside: str = ""
    """How the names of tensors begin that the model does without, `{layers}` standing for how many
    layers it has; empty: there are none."""
    drafts: bool = False
    """Whether these are layers that predict more, as `raylax.kernels.heads.mtp` reads them."""


def longest_sequence(config: Config, rope: Rope) -> int:
    """Tokens of the longest sequence that the model is meant for. Linear scaling stretches what
    `max_position_embeddings` says; with others that is the stretched length already."""
    positions = count(config, "max_position_embeddings", 4096)
    if rope.scaling == "linear":
        return min(MOST, max(1, int(positions * rope.factor)))
    return positions


def window_of(family: Family, config: Config, positions: int) -> int:
    """Keys that a token sees, where all layers are alike; 0: all. Raises CheckpointError."""
    absent = family.default_window if "sliding_window" not in config else None
    if not config.get("sliding_window", absent):
        return 0
    if not switch(config, "use_sliding_window", family.sliding_window):
        return 0
    window = count(config, "sliding_window", absent)
    return window if window < positions else 0


def with_sinks(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """The same, with the first tokens that stay in a window of all layers, as packages of MLC have
    them. Raises CheckpointError."""
    if config.get("attention_sink_size") is None or not spec.window or spec.local is not None:
        return spec
    sinks = whole(config, "attention_sink_size", 0)
    if sinks >= spec.window:
        raise CheckpointError(
            f"config.json: attention_sink_size must be less than the window of {spec.window}, "
            f"found {sinks}"
        )
    return replace(spec, sinks=sinks)


def read_config(family: Family, config: Config) -> DecoderSpec:
    """The spec of a checkpoint; CheckpointError names the key that does not fit."""
    theirs = {ours: name for name, ours in family.keys.items()}
    config = Renamed(config, theirs) if theirs else config
    heads = count(config, "num_attention_heads")
    hidden = count(config, "hidden_size")
    bias, mlp_bias = switch(config, "attention_bias"), switch(config, "mlp_bias")
    head_dim = count(config, "head_dim", family.head_dim or max(1, hidden // heads))
    rope = read_rope(config, head_dim, family.neighbours, family.theta, family.turned_share)
    positions = longest_sequence(config, rope)
    spec = DecoderSpec(
        architecture=family.architecture,
        hidden=hidden,
        layers=count(config, "num_hidden_layers"),
        heads=heads,
        kv_heads=count(config, "num_key_value_heads", heads),
        head_dim=head_dim,
        intermediate=count(
            config, "intermediate_size", family.mlp_share and family.mlp_share * hidden
        ),
        vocab=count(config, "draft_vocab_size", count(config, "vocab_size")),
        embeds=0 if config.get("draft_vocab_size") is None else count(config, "vocab_size"),
        rope=rope,
        norm_eps=number(config, family.eps_key, family.default_eps),
        max_positions=positions,
        window=window_of(family, config, positions),
        tied_embeddings=switch(config, "tie_word_embeddings", family.tied),
        qkv_bias=bias if family.qkv_bias is None else family.qkv_bias,
        output_bias=bias if family.output_bias is None else family.output_bias,
        mlp_bias=mlp_bias if family.mlp_bias is None else family.mlp_bias,
        activation=activation_of(config, family.default_activation),
    )
    if family.traits is not None:
        spec = family.traits(config, spec)
    spec = with_sinks(config, spec)
    if family.labels:
        spec = with_labels(config, spec)
    if family.headless:
        spec = replace(spec, tied_embeddings=True, headless=True)
    for key in family.refuses:
        if switch(config, key):
            raise CheckpointError(f"config.json: {key} is not supported in {family.architecture}")
    refuse_what_we_lack(spec, config)
    return spec


ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "relu2": "relu2",
}  # fmt: skip
"""By the names that configs have for them."""


def activation_of(config: Config, usual: Activation) -> Activation:
    """Raises CheckpointError."""
    if (named := config.get("hidden_act")) is None:
        return usual
    if not isinstance(named, str) or named not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json: hidden_act {named!r} is not supported, only {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[named]


def refuse_what_we_lack(spec: DecoderSpec, config: Config) -> None:
    """Raises CheckpointError for what the step would compute otherwise than the model means it."""
    if spec.embeds and spec.tied_embeddings:
        raise CheckpointError(
            "config.json: tie_word_embeddings must be false where draft_vocab_size says that some "
            "of the tokens have logits, found True"
        )
    if spec.head_dim % 2:
        raise CheckpointError(
            f"config.json: head_dim must be even, for halves are rotated, found {spec.head_dim}"
        )
    turned = (spec.rope.turned or spec.head_dim) // 2
    for factors in (spec.rope.factors, spec.rope.long_factors):
        if factors and len(factors) != turned:
            raise CheckpointError(
                f"config.json: factors must be {turned}, half of a head's dims that are rotated, "
                f"found {len(factors)}"
            )
    if spec.heads % spec.kv_heads:
        raise CheckpointError(
            "config.json: num_attention_heads must be a multiple of num_key_value_heads, "
            f"found {spec.heads} and {spec.kv_heads}"
        )
