"""A decoder as a table. Every family becomes one of these; every step is built from one."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding: frequencies theta^(-2i/dim), perhaps scaled."""

    theta: float
    scaling: Literal["none", "linear", "llama3", "factors"] = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 8192
    factors: tuple[float, ...] = ()
    """Of scaling `factors`: what each frequency is divided by."""


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
    """Sizes of a pre-norm decoder with rotary attention and a gated SiLU MLP."""

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
    """The longest sequence the model is meant for; a sliding window counts as its limit, because
    attention here always sees the whole sequence and would differ beyond the window."""
    tied_embeddings: bool
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    window: int = 0
    """Keys that a token sees, its own among them; 0: all."""
    sinks: int = 0
    """How many of those are the sequence's first ones, whatever lies between."""
    unlimited_positions: int = 0
    """`max_positions` but for the model's own window; 0: it has none."""
    softcap: float = 0.0
    """Of attention: a score s counts as softcap * tanh(s / softcap); 0: as it is."""
    hidden_padding: int = 0
    """How many of `hidden` are zeros that the model does not have, see `raylax.kernels.padding`."""
    head_padding: int = 0
    """The same of `head_dim`, half of them behind each half of a head."""
    mlp_padding: int = 0
    """The same of `intermediate`."""
    embeds: int = 0
    """Tokens that it reads, where it draws from fewer (`vocab`), as models do that draft; 0: as
    many."""
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
    def recent(self) -> int:
        """Keys that a token sees, its own among them, but for the sinks; 0: all."""
        return self.window - self.sinks

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


def panels(rows: int) -> int:
    """As whole panels of 32."""
    return -(-rows // 32) * 32
