"""How a model is shared among ranks: what each computes, and of which weights.

A rank is one of `pipeline` stages of layers, and in its stage one of `tensor` shards of each layer:

| weight          | cut                    | whose sums are                            |
|-----------------|------------------------|-------------------------------------------|
| w_qkv, b_qkv    | rows, by head          | whole: heads attend on their own          |
| w_o             | columns, by query head | parts, added over the shards in order     |
| w_gate_up       | rows, by group of 32   | whole                                     |
| w_down          | columns, by group      | parts, added over the shards in order     |
| w_experts_…     | by expert              | parts, added over the shards in order     |
| w_dense_…       | as gate_up and down    |                                           |
| w_head          | rows, by panel of 32   | whole: logits of a part of the vocabulary |
| embed, norms, … | not                    |                                           |

Nothing is copied for it: every rank maps the same packed file, and reads what is its own. There
may be more shards than KV heads; some then keep the same keys and values.

Sums in parts round otherwise than whole ones, and w8a8 rounds each shard's part of a row alone: so
law 1 holds for each number of shards by itself. Stages change no bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from raylax.kernels.errors import CompileError
from raylax.kernels.spec import DecoderSpec

PANEL = 32  # output rows of a matrix that lie together: two vectors
GROUP = 32  # neighbouring activations that are stored together


def groups_of(units: int) -> int:
    """Groups of an MLP's units; the last one may be padding in part."""
    return -(-units // GROUP)


@dataclass(frozen=True, slots=True)
class Degree:
    """Among how many ranks a model is shared: shards of each layer, and stages of layers."""

    tensor: int = 1
    pipeline: int = 1

    @property
    def ranks(self) -> int:
        """How many ranks share the model."""
        return self.tensor * self.pipeline

    def check(self, spec: DecoderSpec) -> None:
        """Raises CompileError for a model that cannot be cut like this."""
        n, kv = self.tensor, spec.kv_heads
        if spec.heads % n or (kv % n and n % kv):
            raise CompileError(
                "tensor_parallel_shards must divide the attention heads, and divide the KV heads "
                f"or be a multiple of them; found {n} for {spec.heads} heads and {kv} KV heads"
            )
        if n > 1 and spec.qk_norm == "whole":
            raise CompileError(
                "tensor_parallel_shards must be 1 for a model whose norms are of all queries and "
                f"keys of a token, as in {spec.architecture}; found {n}"
            )
        if spec.experts and n > spec.experts.count:
            raise CompileError(
                f"tensor_parallel_shards must be at most the {spec.experts.count} experts, "
                f"found {n}"
            )
        for units, own in mlps_of(spec):
            if n > groups_of(units):
                raise CompileError(
                    f"tensor_parallel_shards must be at most {groups_of(units)}, one for "
                    f"each {GROUP} of the {own} MLP units, found {n}"
                )
        if self.pipeline > spec.layers:
            raise CompileError(
                f"pipeline_parallel_stages must be at most the {spec.layers} layers of the model, "
                f"found {self.pipeline}"
            )

    def local(self, spec: DecoderSpec) -> DecoderSpec:
        """The sizes that one rank computes. All ranks have the same: what does not divide evenly
        is cut into windows that overlap, see `Place.first_group`."""
        return replace(
            spec,
            layers=-(-spec.layers // self.pipeline),
            heads=spec.heads // self.tensor,
            kv_heads=max(1, spec.kv_heads // self.tensor),
            intermediate=self._units(spec.intermediate),
            experts=spec.experts
            and replace(
                spec.experts, dense_intermediate=self._units(spec.experts.dense_intermediate)
            ),
        )

    def _units(self, units: int) -> int:
        """Of an MLP, in the window of one rank."""
        return -(-groups_of(units) // self.tensor) * GROUP

    def _window(self, units: int, shard: int) -> tuple[int, int, int]:
        """The first group of a shard's window of an MLP, its own first one, and where these end."""
        groups = groups_of(units)
        own, end = (groups * at // self.tensor for at in (shard, shard + 1))
        return min(own, groups - self._units(units) // GROUP), own, end

    def place(self, spec: DecoderSpec, rank: int) -> "Place":
        """What a rank computes; ranks are counted stage after stage."""
        stage, shard = divmod(rank, self.tensor)
        panels, experts = spec.padded_vocab // PANEL, spec.experts.count if spec.experts else 0
        first, own, end = self._window(spec.intermediate, shard)
        dense = self._window(spec.experts.dense_intermediate if spec.experts else 0, shard)
        panel = panels * shard // self.tensor
        layer = spec.layers * stage // self.pipeline
        return Place(
            rank,
            stage,
            shard,
            first_layer=layer,
            layers=spec.layers * (stage + 1) // self.pipeline - layer,
            first_head=spec.heads // self.tensor * shard,
            first_kv_head=spec.kv_heads * shard // self.tensor,
            first_group=first,
            own_group=own,
            end_group=end,
            first_panel=panel,
            panels=panels * (shard + 1) // self.tensor - panel,
            first_expert=experts * shard // self.tensor,
            end_expert=experts * (shard + 1) // self.tensor,
            first_dense_group=dense[0],
            own_dense_group=dense[1],
            end_dense_group=dense[2],
        )


def mlps_of(spec: DecoderSpec) -> Iterator[tuple[int, int]]:
    """Units of the MLPs that a model has, with and without padding."""
    if spec.intermediate:
        yield spec.intermediate, spec.own_intermediate
    if spec.experts and spec.experts.dense:
        units = spec.experts.dense_intermediate
        yield units, units - spec.experts.dense_padding


@dataclass(frozen=True, slots=True)
class Place:
    """Which part of a model one rank computes."""

    rank: int
    stage: int
    shard: int
    first_layer: int
    layers: int
    first_head: int
    first_kv_head: int
    first_group: int
    """The first of the window of MLP groups that it computes; those outside own_group .. end_group
    are somebody else's, and count as 0 here."""
    own_group: int
    end_group: int
    first_panel: int
    """The first of its panels of the head."""
    panels: int
    first_expert: int
    end_expert: int
    first_dense_group: int
    """As `first_group` and so on, of the MLP of layers that have no experts."""
    own_dense_group: int
    end_dense_group: int
