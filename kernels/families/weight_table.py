"""The weights of a step, as a table: what each is called, how large it is, what it is made of.

Both backends pack, load and declare what they find here. How a matrix lies in memory is theirs, and
what each rank reads of it is told in `raylax.kernels.shards`. Names in the checkpoint are those of
Hugging Face's Llama; a family may have others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from raylax.kernels.families.weight import Names, Order, Weight
from raylax.kernels.padding import unpadded, up
from raylax.kernels.rotary import turned_order
from raylax.kernels.spec import DecoderSpec, Experts, Fusion


def llamas_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """The weights of a decoder of this spec, in the order of the step, where Llama has them, and
    those that it has not where most others have them."""
    hidden = spec.hidden
    yield Weight("w_embed", ("model.embed_tokens.weight",), (spec.tokens,), hidden)
    if spec.learned_positions:
        names, rows = ("model.embed_positions.weight",), (spec.learned_positions,)
        yield Weight("w_position", names, rows, hidden, plain=True)
    if spec.norm_before:
        yield from norm(spec, "norm_1", *of_layer("input_layernorm"))
    yield from attention_weights(spec)
    if spec.norm_after:
        yield from norm(spec, "norm_o", *of_layer("post_attention_layernorm"))
    if spec.norm_before and not spec.shared_norm:
        second = "pre_feedforward_layernorm" if spec.norm_after else "post_attention_layernorm"
        yield from norm(spec, "norm_2", *of_layer(second))
    if spec.experts:
        yield from expert_weights(spec, spec.experts)
        yield from dense_weights(spec, spec.experts)
    if spec.intermediate:
        yield from mlp_weights(spec)
    if spec.norm_after:
        yield from norm(spec, "norm_down", *of_layer("post_feedforward_layernorm"))
    yield from norm(spec, "norm_f", "model.norm")
    if not spec.tied_embeddings:
        name = "score.weight" if spec.classifies else "lm_head.weight"
        yield Weight("w_head", (name,), (spec.vocab,), hidden)
    if spec.head_bias:
        bias = Weight("b_head", ("lm_head.bias",), (spec.vocab,))
        yield replace(bias, rows=(spec.padded_vocab,), own=bias)


def norm(spec: DecoderSpec, name: str, tensor: str) -> Iterator[Weight]:
    """Of the residual stream."""
    yield Weight(name, (f"{tensor}.weight",), (spec.hidden,), offset=spec.norm_offset)
    if spec.norm_bias:
        yield Weight(f"{name}_bias", (f"{tensor}.bias",), (spec.hidden,))


def attention_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """Those of a layer's attention."""
    q, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    dim, half, hidden = spec.head_dim, spec.head_dim // 2, spec.hidden
    turned = turned_order(spec)
    qkv = [f"self_attn.{name}_proj" for name in "qkv"]
    rows, order = (q, kv, kv), None if turned is None else order_of_heads(spec, turned)
    weights = of_layer(*(f"{name}.weight" for name in qkv))
    yield Weight("w_qkv", weights, rows, hidden, half, order=order)
    if spec.qkv_bias:
        biases = of_layer(*(f"{name}.bias" for name in qkv))
        yield Weight("b_qkv", biases, rows, None, half, order=order)
    if spec.qk_norm == "head":
        names = of_layer("self_attn.q_norm.weight", "self_attn.k_norm.weight")
        both = None if turned is None else np.concatenate([turned, dim + turned])
        yield Weight("norm_qk", names, (dim, dim), None, half, order=both, offset=spec.norm_offset)
    if spec.qk_norm == "whole":
        names = of_layer("self_attn.q_norm.weight", "self_attn.k_norm.weight")
        both = None if order is None else order[: q + kv]
        yield Weight("norm_qk", names, (q, kv), None, half, order=both)
    if spec.learned_sinks:
        yield Weight("sinks", of_layer("self_attn.sinks"), (spec.heads,))
    yield Weight("w_o", of_layer("self_attn.o_proj.weight"), (hidden,), q, column_block=half)
    if spec.output_bias:
        yield Weight("b_o", of_layer("self_attn.o_proj.bias"), (hidden,))


def mlp_weights(spec: DecoderSpec) -> Iterator[Weight]:
    """Those of a layer's MLP; without gates `w_gate_up` is the first of two matrices."""
    hidden, mlp = spec.hidden, spec.intermediate
    layers = layers_with(spec.experts, spec.layers) if spec.experts else None
    into = ("mlp.gate_proj", "mlp.up_proj") if spec.gated else ("mlp.up_proj",)
    rows = (mlp,) * len(into)
    weights, both = of_layer(*(f"{n}.weight" for n in into)), spec.gated
    yield Weight("w_gate_up", weights, rows, hidden, mlp, paired=both, layers=layers)
    if spec.mlp_bias:
        biases = of_layer(*(f"{n}.bias" for n in into))
        yield Weight("b_gate_up", biases, rows, None, mlp, paired=both)
    yield Weight("w_down", of_layer("mlp.down_proj.weight"), (hidden,), mlp, layers=layers)
    if spec.mlp_bias:
        yield Weight("b_down", of_layer("mlp.down_proj.bias"), (hidden,))


def expert_weights(spec: DecoderSpec, experts: Experts) -> Iterator[Weight]:
    """Those of a layer's experts, of their router, and of the gate of the MLP beside them."""
    hidden, mlp, count = spec.hidden, experts.intermediate, experts.count
    layers = layers_with(experts, spec.layers)
    names = of_layer("mlp.gate.weight")
    yield Weight("w_router", names, (count,), hidden, plain=True, layers=layers)
    if experts.router_bias:
        yield Weight("b_router", of_layer("mlp.gate.bias"), (count,), layers=layers)
    if experts.corrected:
        names = of_layer("mlp.gate.e_score_correction_bias")
        correction = Weight("b_correction", names, (count,), layers=layers)
        yield replace(correction, rows=(up(count, 16),), own=correction)
    if experts.shared_gate:
        gate = of_layer("mlp.shared_expert_gate.weight")
        yield Weight("w_shared_gate", gate, (1,), hidden, plain=True, layers=layers)
    names = of_layer(*(f"mlp.experts.{{expert}}.{name}_proj.weight" for name in ("gate", "up")))
    gate_up = Weight(
        "w_experts_up", names, (mlp, mlp), hidden, mlp, experts=count, paired=True, layers=layers
    )
    names = of_layer("mlp.experts.{expert}.down_proj.weight")
    down = Weight("w_experts_down", names, (hidden,), mlp, experts=count, layers=layers)
    yield from (gate_up, down)
    if experts.bias:
        yield from map(bias_of, (gate_up, down))


def bias_of(matrix: Weight) -> Weight:
    """The vector beside it."""
    tensors = tuple(f"{name.removesuffix('.weight')}.bias" for name in matrix.tensors)
    return replace(matrix, name=f"b{matrix.name[1:]}", tensors=tensors, columns=None)


def dense_weights(spec: DecoderSpec, experts: Experts) -> Iterator[Weight]:
    """Those of the MLP of layers that have no experts."""
    hidden, mlp, layers = spec.hidden, experts.dense_intermediate, experts.dense
    if layers:
        names = of_layer("mlp.gate_proj.weight", "mlp.up_proj.weight")
        yield Weight("w_dense_up", names, (mlp, mlp), hidden, mlp, paired=True, layers=layers)
        yield Weight(
            "w_dense_down", of_layer("mlp.down_proj.weight"), (hidden,), mlp, layers=layers
        )


def layers_with(experts: Experts, layers: int) -> tuple[int, ...] | None:
    """Those of so many layers that have experts; None: all."""
    return experts.sparse(layers) if experts.dense else None


def order_of_heads(spec: DecoderSpec, turned: Order) -> Order:
    """Rows of queries, keys and values, of which the dims of each of the first two are `turned`."""
    heads, dim = spec.heads + spec.kv_heads, spec.head_dim
    rotated = np.arange(heads)[:, None] * dim + turned
    values = np.arange(heads * dim, (heads + spec.kv_heads) * dim)
    return np.concatenate([rotated.ravel(), values])


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


@dataclass(frozen=True)
class Layout:
    """Where a family's checkpoints have the weights that do not lie where Llama has them."""

    elsewhere: Mapping[str, Names] = field(default_factory=dict)
    """Tensors by the weight's name. One where Llama has several: their rows follow each other in
    it."""
    transposed: frozenset[str] = frozenset()
    """Matrices whose tensors have their columns as rows."""
    experts_together: bool = False
    """Whether one tensor has the matrices of all experts of a layer, their columns as rows, gate
    and up of a unit next to each other; see `raylax.kernels.checkpoints.experts`."""
    qkv: Callable[[DecoderSpec], Order] | None = None
    """Where the rows of queries, keys and values, in this order, are in their tensor; None: so."""

    def of(self, weight: Weight, spec: DecoderSpec) -> Weight:
        """A weight as it lies there."""
        tensors = self.elsewhere.get(weight.name, weight.tensors)
        rows, order = weight.rows, weight.order
        if len(tensors) < len(rows):
            rows = (sum(rows),)
        if self.qkv is not None and weight.name in ("w_qkv", "b_qkv"):
            there = self.qkv(spec)
            order = there if order is None else there[order]
        return replace(
            weight, tensors=tensors, rows=rows, order=order,
            own=weight.own and self.of(weight.own, spec),
            transposed=weight.name in self.transposed,
        )  # fmt: skip


AS_LLAMA = Layout()


def weight_table(spec: DecoderSpec, layout: Layout = AS_LLAMA) -> dict[str, Weight]:
    """Every weight by name.

    Without a `w_head`, `w_embed` is the head as well. Those of a padded spec read zeros where a
    checkpoint has nothing.
    """
    table, own_spec = {}, unpadded(spec)
    for weight, own in zip(weights_in(spec), weights_in(own_spec), strict=True):
        weight, own = layout.of(weight, spec), layout.of(own, own_spec)
        table[weight.name] = weight if own.shape == weight.shape else replace(weight, own=own)
    return table
