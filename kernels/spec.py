"""A decoder as a table. Every family becomes one of these; every step is built from one."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

Activation = Literal["silu", "gelu", "gelu_tanh", "relu2"]


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding: frequencies theta^(-2i/dim), perhaps scaled."""

    theta: float
    """0: nothing is turned."""
    scaling: Literal["none", "linear", "llama3", "yarn", "factors"] = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 8192
    factors: tuple[float, ...] = ()
    """Of scaling `factors`: what each frequency is divided by."""
    long_factors: tuple[float, ...] = ()
    """The same where sequences may be longer than the original positions; none: the same ones."""
    turned: int = 0
    """Dims of a head that are rotated, its first ones; 0: all."""
    neighbours: bool = False
    """Whether a dim is rotated with the next one, instead of with one half of `turned` further."""
    magnitude: float = 1.0
    """What cosines and sines are multiplied by."""
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    """Of `yarn`: turns within the original positions, from which on frequencies are kept and below
    which they are divided."""
    truncate: bool = True
    """Of `yarn`: whether the dims between which it blends are whole."""


@dataclass(frozen=True, slots=True)
class Local:
    """Layers that attend otherwise than the others do."""

    layers: tuple[int, ...]
    window: int
    """Keys that a token sees there, its own among them; 0: all."""
    rope: Rope


@dataclass(frozen=True, slots=True)
class Experts:
    """MLPs of which a router chooses some for each token: https://arxiv.org/abs/1701.06538."""

    count: int
    chosen: int
    intermediate: int
    """Units of each."""
    scores: Literal["softmax", "sigmoid"] = "softmax"
    """What becomes of the router's logits."""
    normalised: bool = False
    """Whether the scores of those that are chosen are made to sum up to 1."""
    scale: float = 1.0
    """What the scores of those that are chosen are multiplied by."""
    corrected: bool = False
    """Whether an expert's score is raised by a number of its own where some are chosen, and not
    where it counts: https://arxiv.org/abs/2408.15664."""
    groups: int = 1
    """Parts of the experts, of which a token has some before it chooses among the experts in
    these: those whose two best scores add up to most. https://arxiv.org/abs/2412.19437."""
    groups_chosen: int = 1
    shared_gate: bool = False
    """Whether the MLP that stands beside them counts as far as a gate lets it."""
    router_bias: bool = False
    bias: bool = False
    """Of each expert's matrices; what its last one comes to counts with its bias."""
    limit: float = 0.0
    """Gates count as at most this, and what they are multiplied with as at most this far from 0; 0:
    as they are."""
    slope: float = 1.0
    """Of gates x of silu: they become x * sigmoid(slope * x)."""
    up_offset: float = 0.0
    """What is added to what gates are multiplied with."""
    dense: tuple[int, ...] = ()
    """Layers that have an MLP instead, and nothing beside it."""
    dense_intermediate: int = 0
    """Its units."""
    padding: int = 0
    """How many of `intermediate` are zeros that the model does not have."""
    dense_padding: int = 0
    """The same of `dense_intermediate`."""

    def sparse(self, layers: int) -> tuple[int, ...]:
        """Those of so many layers that have experts."""
        return tuple(layer for layer in range(layers) if layer not in self.dense)

    @property
    def chosen_by_scores(self) -> bool:
        """Whether the largest logits are not always those that are chosen."""
        return self.corrected or self.groups > 1

    @property
    def own_intermediate(self) -> int:
        """Units of the model's, without padding."""
        return self.intermediate - self.padding


@dataclass(frozen=True, slots=True)
class Fusion:
    """How a draft head differs from a decoder: its only layer goes on from a token's embedding and,
    beside it, a feature of the token before."""

    into: Literal["residual", "attention"]
    """What they become. A matrix makes the residual stream of both; or the feature is that stream,
    and queries, keys and values are made of both."""
    vocab: int
    """Tokens that have an embedding; those that the head can name may be fewer."""
    tapped: int
    """Numbers of the base, for each token, that a feature is made of."""
    norms: tuple[str, ...] = ()
    """Those that it has: norm_e of the embedding, norm_h of the feature, norm_1 of what attention
    reads, norm_f before the logits."""
    bias: bool = False
    """Of the matrix."""
    feature_first: bool = False
    """Whether the feature lies before the embedding."""
    normed_residual: bool = False
    """Whether the residual stream begins behind the feature's norm."""
    base_eps: float = 1e-6
    """Of the base's last norm, which makes features where a matrix makes the residual stream."""
    tapped_padding: int = 0
    """How many of `tapped` are zeros that the base does not have."""


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """Sizes and traits of a decoder; as the defaults have it one of the kind of Llama."""

    architecture: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    rope: Rope
    norm_eps: float
    max_positions: int
    """The longest sequence the model is meant for."""
    tied_embeddings: bool
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    window: int = 0
    """Keys that a token sees, its own among them; 0: all. `local` layers have another one."""
    sinks: int = 0
    """How many of those are the sequence's first ones, whatever lies between."""
    softcap: float = 0.0
    """Of attention: a score s counts as softcap * tanh(s / softcap); 0: as it is."""
    norm: Literal["rms", "layer"] = "rms"
    """Layer norms take the mean off first, and have a bias where `norm_bias` says so."""
    norm_bias: bool = False
    norm_offset: float = 0.0
    """What is added to the weights of norms as they lie in a checkpoint."""
    norm_before: bool = True
    """Whether attention and the MLP read the residual stream behind a norm."""
    norm_after: bool = False
    """Whether what they come to is added to it behind another one."""
    qk_norm: Literal["", "head", "whole"] = ""
    """Norms of queries and keys before they are rotated: of each head, or of all heads at once."""
    parallel: bool = False
    """Whether the MLP reads what attention reads, not what it has changed."""
    shared_norm: bool = False
    """Whether both read it behind the same norm."""
    activation: Activation = "silu"
    gated: bool = True
    head_bias: bool = False
    learned_positions: int = 0
    """Positions that have an embedding of their own, which is added to the token's; 0: none."""
    embed_scale: float = 1.0
    residual_scale: float = 1.0
    """What attention and the MLP come to is multiplied by."""
    query_scale: float = 0.0
    """Scores are multiplied by; 0: one by the root of a head's dims."""
    logit_scale: float = 1.0
    logit_softcap: float = 0.0
    """As `softcap`, of logits behind their scale."""
    learned_sinks: bool = False
    """Whether each query head has a score of its own that takes part in its softmax, and no value:
    https://arxiv.org/abs/2508.10925."""
    local: Local | None = None
    """How some of the layers attend; None: as all do."""
    experts: Experts | None = None
    """What stands in the place of the MLP, or beside it; `intermediate` is 0 if there is none."""
    hidden_padding: int = 0
    """How many of `hidden` are zeros that the model does not have, see `raylax.kernels.padding`."""
    head_padding: int = 0
    """The same of `head_dim`, half of them behind each half of a head."""
    mlp_padding: int = 0
    """The same of `intermediate`."""
    embeds: int = 0
    """Tokens that it reads, where it draws from fewer (`vocab`), as models do that draft; 0: as
    many."""
    in_gguf: bool = False
    """Whether its weights lie as llama.cpp's files have them, and its family's others do not."""
    classifies: bool = False
    """Whether its head has a row for each label of a text (`vocab`), and none for tokens."""
    headless: bool = False
    """Whether it has none: it was made for vectors, and what its embedding says as a head means
    nothing."""
    fusion: Fusion | None = None
    """Of a draft head; None: a model that stands by itself."""
    blocks: int | None = None
    """Of Medusa's heads, which stand beside each other where a model has layers and of which the
    other sizes but `hidden` and `vocab` say nothing: residual blocks of each."""

    @property
    def own_hidden(self) -> int:
        """The model's hidden size, without padding: what norms divide by, and users are given."""
        return self.hidden - self.hidden_padding

    @property
    def own_head_dim(self) -> int:
        """Dims of the model's heads, without padding: what scores are scaled by."""
        return self.head_dim - self.head_padding

    @property
    def own_intermediate(self) -> int:
        """Units of the model's MLP, without padding."""
        return self.intermediate - self.mlp_padding

    @property
    def score_scale(self) -> float:
        """What scores are multiplied by."""
        return self.query_scale or 1 / math.sqrt(self.own_head_dim)

    @property
    def unlike_llama(self) -> tuple[str, ...]:
        """Names of the traits in which it is another one than Llama."""
        return tuple(name for name, usual in LLAMAS.items() if getattr(self, name) != usual)

    @property
    def recent(self) -> int:
        """Keys that a token sees, its own among them, but for the sinks; 0: all."""
        return self.window - self.sinks

    @property
    def sight(self) -> int:
        """The most that `recent` is in any layer; 0: some see all keys."""
        if self.local is None:
            return self.recent
        both = self.recent, self.local.window
        return max(both) if all(both) else 0

    @property
    def queries_per_kv_head(self) -> int:
        """How many query heads share a head of keys and values."""
        return self.heads // self.kv_heads

    @property
    def qkv_columns(self) -> int:
        """Numbers that queries, keys and values are made of."""
        both = self.fusion is not None and self.fusion.into == "attention"
        return 2 * self.hidden if both else self.hidden

    @property
    def qkv_rows(self) -> int:
        """Rows of queries, keys and values together."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def tokens(self) -> int:
        """Those that it reads."""
        return self.embeds or self.vocab

    @property
    def padded_vocab(self) -> int:
        """Rows of the packed head: whole panels of 32."""
        return panels(self.vocab)

    @property
    def drawn(self) -> int:
        """Tokens that a device draws from: a draft head's are its base's, whichever it names."""
        return self.fusion.vocab if self.fusion else self.vocab

    @property
    def padded_drawn(self) -> int:
        """Logits of a row that is drawn from."""
        return panels(self.drawn)


TRAITS = (
    "norm", "norm_before", "norm_after", "qk_norm", "parallel", "activation", "gated", "mlp_bias",
    "head_bias",
    "learned_positions", "embed_scale", "residual_scale", "query_scale", "logit_scale",
    "logit_softcap", "learned_sinks", "local", "experts",
)  # fmt: skip
LLAMAS: dict[str, Any] = {
    one.name: one.default for one in fields(DecoderSpec) if one.name in TRAITS
}
"""What each of the traits is in the kind of Llama."""


def panels(rows: int) -> int:
    """As whole panels of 32."""
    return -(-rows // 32) * 32
