"""The models whose kernels are compiled for every chip, to look at their machine code."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, product
from typing import Any

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.pages import FORMATS, KV
from raylax.kernels.cuda.variants import experts
from raylax.kernels.cuda.variants.attention import AttentionShape, attend, combine
from raylax.kernels.cuda.variants.base import PRECISIONS, Variant
from raylax.kernels.cuda.variants.elementwise import ACTIVATIONS, activate, cap_logits
from raylax.kernels.cuda.variants.heads import of_fusion, of_medusa
from raylax.kernels.cuda.variants.pointwise import (
    MOST_WIDTH_AFTER,
    Norms,
    add_norm,
    embed,
    final_norm,
    root_of_heads,
    rope_append,
)
from raylax.kernels.cuda.variants.table import of_model, shared
from raylax.kernels.spec import DecoderSpec, Experts, Fusion, Rope


def spec(
    hidden: int,
    heads: int,
    kv_heads: int,
    dim: int,
    qkv_bias: bool = False,
    output: bool = False,
    **traits: Any,
) -> DecoderSpec:
    """A decoder of this shape; no kernel knows the rest of it."""
    return DecoderSpec(
        architecture="LlamaForCausalLM",
        hidden=hidden,
        layers=2,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=dim,
        intermediate=4 * hidden,
        vocab=32000,
        rope=Rope(10000.0),
        norm_eps=1e-5,
        max_positions=8192,
        tied_embeddings=False,
        qkv_bias=qkv_bias,
        output_bias=output,
        **traits,
    )


MODELS: tuple[tuple[DecoderSpec, str, KV], ...] = (
    (spec(4096, 32, 8, 128), "bf16", "plain"),  # Llama 3.1 8B
    (spec(4096, 32, 8, 128), "bf16", "int8"),
    (spec(4096, 32, 8, 128), "bf16", "fp8"),
    (spec(4096, 32, 32, 128), "f16", "plain"),  # Llama 2 7B
    (spec(2048, 32, 8, 64), "f16", "plain"),  # Llama 3.2 1B
    (spec(3584, 28, 4, 128, qkv_bias=True, output=True), "bf16", "plain"),  # Qwen2 7B, and a bias
    (spec(896, 14, 2, 64, qkv_bias=True), "bf16", "plain"),  # Qwen2 0.5B
    (spec(3072, 16, 8, 256), "bf16", "plain"),  # the widest heads
    (spec(256, 4, 2, 64), "bf16", "plain"),  # the demo model
    (spec(64, 4, 2, 16), "f16", "int8"),  # one of tests, with the narrowest heads
    (spec(8192, 64, 8, 128), "bf16", "plain"),  # Llama 3.1 70B
    (spec(16384, 128, 8, 128), "bf16", "plain"),  # Llama 3.1 405B, the widest rows
)
RANKS = (2, 8)
"""Among how many a model is shared, beside 4, which are as many as a sum's segments."""
DIMS = (64, 80, 96, 128, 256)
GROUPS = (16, 3, 9, 15, 2, 13, 10, 1, 14, 5, 12, 6, 7, 11, 8)
"""Query heads of a KV head: as many as there are dims and formats of pages together."""
HEADS = [
    AttentionShape(2 * group, 2, dim, precision, kv)
    for group, (dim, kv), precision in zip(
        GROUPS, product(DIMS, FORMATS), cycle(("f16", "bf16")), strict=False
    )
] + [AttentionShape(14, 2, 192, "f16", "int8")]
"""Of no model in particular, so that whatever a model has was looked at with most of what it has
beside it."""
TRAITS = [
    replace(shape, precision="bf16", window=True, softcap=True)
    for shape in HEADS
    if shape.dim in (128, 256) and shape.kv != "fp8"
]
TRAITS += [
    replace(shape, precision="bf16", window=True, softcap=True, sinks=True)
    for shape in HEADS
    if (shape.dim, shape.kv) in {(64, "plain"), (64, "int8"), (128, "plain")}
]
TRAITS += [
    AttentionShape(64, 8, 64, "bf16", "plain", window=True, learned=True),  # gpt-oss
]


def unlike_llama() -> Iterator[Variant]:
    """What lies between products where a model has traits that Llama has not: as many of them as
    there are together, in rows of every number of warps. Of attention see `TRAITS`."""
    gemmas = Norms(wide=True, after=True, scaled=True)
    gpts = Norms(wide=True, layer=True, shifted=True, scaled=True)
    for width, parts in ((64, 4), (2048, 4), (8192, 1), (16384, 8)):
        yield final_norm("bf16", width, parts, bias=True, norms=gpts)
        if width <= MOST_WIDTH_AFTER:
            yield add_norm("f16", width, parts, bias=True, norms=gemmas)
    yield final_norm("bf16", 8192, 4, bias=True, norms=gemmas)
    yield add_norm("bf16", 16384, 4, bias=True, norms=gpts)
    yield add_norm("bf16", 8192, 4, norms=gemmas, to="the row")
    yield add_norm("bf16", 16384, 4, bias=True, norms=gpts, to="nothing")
    yield embed("bf16", 16384, scaled=True, placed=True)
    for shape in HEADS:
        if shape.kv == "fp8":
            yield rope_append(shape, 4, bias=True, qk="head")
    olmo = AttentionShape(40, 8, 128, "bf16")  # OLMo 3 32B
    yield rope_append(olmo, 4, qk="whole")
    yield root_of_heads(olmo, 4)
    for activation in ACTIVATIONS:
        gated = spec(64, 4, 2, 16, activation=activation, mlp_bias=True)
        yield activate(gated, "f16", 4)
    yield from (cap_logits(True), cap_logits(False))


def of_experts(chip: int) -> Iterator[Variant]:
    """What routes tokens in models that people run, and in the ways in which they do it; products
    in every format by the widest tile, which has most registers; in one by the narrowest too."""
    base = spec(64, 4, 2, 16)
    for one in (
        Experts(128, 8, 768, normalised=True),  # Qwen 3
        Experts(256, 8, 2048, "sigmoid", True, corrected=True, groups=8, groups_chosen=4),
        Experts(510, 22, 512, "sigmoid", groups=3, groups_chosen=2, shared_gate=True),
    ):
        yield experts.route(base, one)
    yield experts.blend(one, 4)
    yield experts.sort()
    packed = (f"{name}_{of}" for name, of in zip(experts.DIGITS, cycle(PRECISIONS), strict=False))
    for form in (*PRECISIONS, *packed):
        for tile in experts.tiles(chip, experts.kind_of(form, "gated"))[form != "bf16" :]:
            yield experts.into_units(chip, form, "silu", tile.tokens)
            yield experts.out_of_units(chip, form, tile.tokens)


def of_drafts() -> Iterator[Variant]:
    """What heads that draft have beside decoders: EAGLE's of both kinds, the layer that a model
    brings, and Medusa's; of rows of every number of warps."""
    for width, precision in ((64, "f16"), (2048, "bf16"), (4096, "f16"), (8192, "bf16")):
        base, vocab = spec(width, 4, 2, 16), 128256
        heads = (
            Fusion("residual", vocab, width, bias=True),
            Fusion("residual", vocab, width, ("norm_e", "norm_h", "norm_1", "norm_f")),
            Fusion("attention", vocab, 3 * width, ("norm_e", "norm_h", "norm_f")),
        )
        for fusion in heads:
            yield from of_fusion(replace(base, fusion=fusion), precision)
        yield from of_medusa(replace(base, blocks=1), precision)


def shipped(chip: Chip) -> list[Variant]:
    """What these models have of their own, and what all share. Of those that differ in their name
    alone, as norms do of rows that are padded alike, there is the first."""
    number = chip.number
    own = [one for model in MODELS for one in of_model(model[0], number, *model[1:])]
    for parts in RANKS:
        own += [add_norm("bf16", 8192, parts), final_norm("bf16", 8192, parts)]
    own += [*unlike_llama(), *of_drafts(), *of_experts(number)]
    own += [one for shape in [*HEADS, *TRAITS] for one in attend(shape, number)]
    own.append(combine(TRAITS[-1]))
    own += [rope_append(shape, 4, bias=True) for shape in HEADS if shape.kv == "int8"]
    found: dict[str, Variant] = {}
    for one in [*own, *shared(number)]:
        found.setdefault(repr(replace(one, name="", most=None)), one)
    return list(found.values())
