"""The weights of a step, as a table: what each is called, how large it is, what it is made of.

Both backends pack, load and declare what they find here. How a matrix lies in memory is theirs, and
what each rank reads of it is told in `raylax.kernels.shards`. Names in the checkpoint are those of
Hugging Face's Llama; a family may have others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from raylax.kernels.spec import DecoderSpec

Floats = npt.NDArray[np.float32]
Names = tuple[str, ...]


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
        for name, rows in zip(self.tensors, self.rows, strict=True):
            yield name.format(layer=layer), self._shape(rows)

    def read(self, tensor: Callable[[str, slice], Floats], layer: int, rows: slice) -> Floats:
        """Some of its rows in a checkpoint that has those of a `tensor` by name."""
        first, end, _ = rows.indices(sum(self.rows))
        parts, before = [], 0
        for name, count in zip(self.tensors, self.rows, strict=True):
            own = slice(max(0, first - before), min(count, end - before))
            if own.start < own.stop:
                parts.append(tensor(name.format(layer=layer), own))
            before += count
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _shape(self, rows: int) -> tuple[int, ...]:
        return (rows,) if self.columns is None else (rows, self.columns)


def llamas_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """The weights of a decoder of these sizes, in the order of the step, where Llama has them."""
    q, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    hidden, mlp = spec.hidden, spec.intermediate
    yield Weight("w_embed", ("model.embed_tokens.weight",), (spec.vocab,), hidden)
    yield Weight("norm_1", of_layer("input_layernorm.weight"), (hidden,))
    qkv = [f"self_attn.{name}_proj" for name in "qkv"]
    yield Weight("w_qkv", of_layer(*(f"{name}.weight" for name in qkv)), (q, kv, kv), hidden)
    if spec.qkv_bias:
        yield Weight("b_qkv", of_layer(*(f"{name}.bias" for name in qkv)), (q, kv, kv))
    yield Weight("w_o", of_layer("self_attn.o_proj.weight"), (hidden,), q)
    if spec.output_bias:
        yield Weight("b_o", of_layer("self_attn.o_proj.bias"), (hidden,))
    yield Weight("norm_2", of_layer("post_attention_layernorm.weight"), (hidden,))
    gate_up = of_layer("mlp.gate_proj.weight", "mlp.up_proj.weight")
    yield Weight("w_gate_up", gate_up, (mlp, mlp), hidden)
    yield Weight("w_down", of_layer("mlp.down_proj.weight"), (hidden,), mlp)
    yield Weight("norm_f", ("model.norm.weight",), (hidden,))
    if not spec.tied_embeddings:
        yield Weight("w_head", ("lm_head.weight",), (spec.vocab,), hidden)


def of_layer(*names: str) -> Names:
    """Names of tensors that every layer has."""
    return tuple(f"model.layers.{{layer}}.{name}" for name in names)


def weight_table(spec: DecoderSpec, elsewhere: Mapping[str, Names]) -> dict[str, Weight]:
    """Every weight by name. `elsewhere`: the tensors of those that do not lie where Llama has them.

    Without a `w_head`, `w_embed` is the head as well.
    """
    return {
        weight.name: replace(weight, tensors=elsewhere.get(weight.name, weight.tensors))
        for weight in llamas_weights(spec)
    }
