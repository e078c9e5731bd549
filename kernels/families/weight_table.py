"""The weights of a step, as a table: what each is called, how large it is, what it is made of.

Both backends pack, load and declare what they find here. How a matrix lies in memory is theirs, and
what each rank reads of it is told in `raylax.kernels.shards`. Names in the checkpoint are those of
Hugging Face's Llama; a family may have others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.padding import unpadded
from raylax.kernels.spec import DecoderSpec, Fusion

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Names = tuple[str, ...]
Tensor = Callable[[str, slice], Array]
"""Some rows of a checkpoint's tensor, by its name."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A matrix [rows, columns] of the step, or a vector, in every layer or once."""

    name: str
    tensors: Names
    """What it is made of in the checkpoint: their rows follow each other. `{layer}` stands for the
    number of a layer."""
    rows: tuple[int, ...]
    """How many rows each of them has."""
    columns: int | None = None
    """None: a vector."""
    row_block: int | None = None
    """Rows that padding follows: half a head; None: all of a tensor."""
    column_block: int | None = None
    """The same of columns."""
    own: "Weight | None" = None
    """What a checkpoint has of it, where the rest is padding; None: all."""

    @property
    def layered(self) -> bool:
        """Whether every layer has one of its own."""
        return "{layer}" in self.tensors[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole weight, in one layer."""
        return self._shape(sum(self.rows))

    @property
    def is_matrix(self) -> bool:
        return self.columns is not None

    def sources(self, layer: int = 0) -> Iterator[tuple[str, tuple[int, ...]]]:
        """(name, shape) of each tensor that it is made of."""
        own = self.own or self
        for name, rows in zip(own.tensors, own.rows, strict=True):
            yield name.format(layer=layer), own._shape(rows)

    def read(self, tensor: Tensor, layer: int, rows: slice) -> Array:
        """Some of its rows in a checkpoint that has those of a `tensor` by name."""
        first, end, _ = rows.indices(sum(self.rows))
        if self.own is not None:
            return self._padded(self.own, tensor, layer, first, end)
        parts, before = [], 0
        for name, count in zip(self.tensors, self.rows, strict=True):
            own = slice(max(0, first - before), min(count, end - before))
            if own.start < own.stop:
                parts.append(tensor(name.format(layer=layer), own))
            before += count
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _padded(self, own: "Weight", tensor: Tensor, layer: int, first: int, end: int) -> Array:
        """The same of one that is padded: rows of a checkpoint stay in their order."""
        sizes = zip(self.rows, own.rows, strict=True)
        every = np.concatenate([filled(*one, self.row_block, own.row_block) for one in sizes])
        before, here = int(every[:first].sum()), every[first:end]
        count, before = int(here.sum()), min(before, sum(own.rows) - 1)
        # A row is read in any case: it has the type, and what else columns may be.
        values = own.read(tensor, layer, slice(before, before + max(1, count)))[:count]
        if self.columns is None or own.columns is None or own.columns == self.columns:
            out = np.zeros((end - first, *values.shape[1:]), values.dtype)
            out[here] = values
            return out
        block, own_block = self.column_block or self.columns, own.column_block or own.columns
        blocks = self.columns // block
        out = np.zeros((end - first, blocks, block), values.dtype)
        out[here, :, :own_block] = values.reshape(count, blocks, own_block)
        return out.reshape(end - first, self.columns)

    def _shape(self, rows: int) -> tuple[int, ...]:
        return (rows,) if self.columns is None else (rows, self.columns)


def filled(size: int, own: int, block: int | None, own_block: int | None) -> npt.NDArray[np.bool_]:
    """Which rows of a padded tensor are not padding: the first of each block."""
    there = np.zeros((size // (block or size), block or size), np.bool_)
    there[:, : own_block or own] = True
    return there.reshape(-1)


def llamas_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """The weights of a decoder of these sizes, in the order of the step, where Llama has them."""
    q, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    hidden, mlp, half = spec.hidden, spec.intermediate, spec.head_dim // 2
    yield Weight("w_embed", ("model.embed_tokens.weight",), (spec.embeds or spec.vocab,), hidden)
    yield Weight("norm_1", of_layer("input_layernorm.weight"), (hidden,))
    qkv = [f"self_attn.{name}_proj" for name in "qkv"]
    rows = of_layer(*(f"{name}.weight" for name in qkv))
    yield Weight("w_qkv", rows, (q, kv, kv), hidden, half)
    if spec.qkv_bias:
        yield Weight("b_qkv", of_layer(*(f"{name}.bias" for name in qkv)), (q, kv, kv), None, half)
    yield Weight("w_o", of_layer("self_attn.o_proj.weight"), (hidden,), q, column_block=half)
    if spec.output_bias:
        yield Weight("b_o", of_layer("self_attn.o_proj.bias"), (hidden,))
    yield Weight("norm_2", of_layer("post_attention_layernorm.weight"), (hidden,))
    gate_up = "mlp.gate_proj", "mlp.up_proj"
    yield Weight("w_gate_up", of_layer(*(f"{n}.weight" for n in gate_up)), (mlp, mlp), hidden)
    if spec.mlp_bias:
        yield Weight("b_gate_up", of_layer(*(f"{n}.bias" for n in gate_up)), (mlp, mlp))
    yield Weight("w_down", of_layer("mlp.down_proj.weight"), (hidden,), mlp)
    if spec.mlp_bias:
        yield Weight("b_down", of_layer("mlp.down_proj.bias"), (hidden,))
    yield Weight("norm_f", ("model.norm.weight",), (hidden,))
    if not spec.tied_embeddings:
        yield Weight("w_head", ("lm_head.weight",), (spec.vocab,), hidden)


def draft_weights(spec: DecoderSpec, fusion: Fusion) -> Iterator[Weight]:
    """The same of a draft head, where EAGLE's checkpoints have them. `base.norm.weight` is the last
    norm of the base."""
    hidden, absent = spec.hidden, {"norm_1", "norm_f"} - set(fusion.norms)
    for name, tensor in (("norm_e", "embedding_norm"), ("norm_h", "feature_norm")):
        if name in fusion.norms:
            yield Weight(name, (f"{tensor}.weight",), (hidden,))
    if fusion.into == "attention":
        yield Weight("w_fc", ("fc.weight",), (hidden,), fusion.tapped)
    else:
        yield Weight("norm_base", ("base.norm.weight",), (hidden,))
        yield Weight("w_fc", ("fc.weight",), (hidden,), 2 * hidden, column_block=hidden)
    if fusion.bias:
        yield Weight("b_fc", ("fc.bias",), (hidden,))
    for weight in llamas_weights(replace(spec, tied_embeddings=False)):
        if weight.name in absent:
            continue
        names = (name.removeprefix("model.").format(layer=0) for name in weight.tensors)
        weight = replace(weight, tensors=tuple(names))
        if weight.name == "w_embed":
            weight = replace(weight, rows=(fusion.vocab,))
        if weight.name == "w_qkv":
            weight = replace(weight, columns=spec.qkv_columns, column_block=hidden)
        yield weight


def medusas_weights(spec: DecoderSpec, blocks: int) -> Iterator[Weight]:
    """The same of Medusa's heads, where their checkpoints have them."""
    rows, hidden = (spec.hidden,) * blocks, spec.hidden
    if blocks:
        linear = [f"{{layer}}.{block}.linear" for block in range(blocks)]
        yield Weight("w_fc", tuple(f"{n}.weight" for n in linear), rows, hidden)
        yield Weight("b_fc", tuple(f"{n}.bias" for n in linear), rows)
    yield Weight("w_head", (f"{{layer}}.{blocks}.weight",), (spec.vocab,), hidden)


def weights_in(spec: DecoderSpec) -> Iterator[Weight]:
    """The weights of a step of these sizes."""
    if spec.blocks is not None:
        return medusas_weights(spec, spec.blocks)
    return draft_weights(spec, spec.fusion) if spec.fusion else llamas_weights(spec)


def of_layer(*names: str) -> Names:
    """Names of tensors that every layer has."""
    return tuple(f"model.layers.{{layer}}.{name}" for name in names)


def weight_table(spec: DecoderSpec, elsewhere: Mapping[str, Names]) -> dict[str, Weight]:
    """Every weight by name. `elsewhere`: the tensors of those that do not lie where Llama has them.

    Without a `w_head`, `w_embed` is the head as well. Those of a padded spec read zeros where a
    checkpoint has nothing.
    """
    table = {}
    for weight, own in zip(weights_in(spec), weights_in(unpadded(spec)), strict=True):
        tensors = elsewhere.get(weight.name, weight.tensors)
        given = None if own.shape == weight.shape else replace(own, tensors=tensors)
        table[weight.name] = replace(weight, tensors=tensors, own=given)
    return table
