"""All machine code of a chip: what every model shares, and what is one model's.

A model's is only what knows its sizes when it is compiled: attention its heads, a norm its width.
"""

from collections.abc import Iterator

from raylax.kernels.cuda.pages import KV
from raylax.kernels.cuda.variants import (
    attention,
    elementwise,
    experts,
    heads,
    pointwise,
    products,
    sampler,
)
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.cuda.variants.base import PRECISIONS, Variant
from raylax.kernels.cuda.variants.segments import SEGMENTS
from raylax.kernels.spec import DecoderSpec


def shared(chip: int) -> list[Variant]:
    """Those that know no model: products in all formats and precisions, and the sampler. Raises
    CompileError for a chip that there are none for."""
    formats = tuple(products.DIGITS)
    made = [one for kind in PRECISIONS for one in products.variants(chip, kind, formats)]
    return made + sampler.variants()


def all_for(
    spec: DecoderSpec,
    chip: int,
    precision: str,
    formats: tuple[str, ...] = (),
    kv: KV = "plain",
    shards: int = 1,
    of_experts: str = "",
) -> list[Variant]:
    """Those of one model. `formats` are those of its packed weights (`products.DIGITS`), `shards`
    the ranks that share its heads, `of_experts` the format of those, if not its precision. Raises
    CompileError for what no kernel is made for."""
    return [
        *products.variants(chip, precision, formats),
        *sampler.variants(),
        *of_model(spec, chip, precision, kv, shards),
        *experts.of_model(spec, chip, of_experts or precision, shards),
    ]


def of_model(
    spec: DecoderSpec, chip: int, precision: str, kv: KV = "plain", shards: int = 1
) -> Iterator[Variant]:
    """Those that know the model. Raises CompileError as `all_for`.

    Of a sum that several ranks share each has one part.
    """
    if spec.blocks is not None:
        yield from heads.of_medusa(spec, precision)
        return
    shapes = AttentionShape.each_of(spec, precision, kv, shards)
    for tiles in attention.tiles_of(shapes, chip):
        yield from tiles
    yield attention.combine(shapes[0])
    yield pointwise.embed_of(spec, precision)
    if spec.fusion is not None:
        yield from heads.of_fusion(spec, precision)
    for parts in SEGMENTS:
        if spec.qk_norm == "whole":
            yield pointwise.root_of_heads(shapes[0], parts, spec.qkv_bias)
        yield pointwise.rope_append(shapes[0], parts, spec.qkv_bias, spec.qk_norm)
        if elementwise.is_apart(spec):
            yield elementwise.activate(spec, precision, parts)
    yield from norms(spec, precision, SEGMENTS if shards == 1 else (shards,))
    if elementwise.has_cap(spec):
        yield elementwise.cap_logits(spec.logit_softcap > 0)


def norms(spec: DecoderSpec, precision: str, sums: tuple[int, ...]) -> Iterator[Variant]:
    """Of the residual stream. `sums`: of how many parts what is added to it may be."""
    traits, to = pointwise.Norms.of(spec), pointwise.read_by_products(spec)
    if spec.fusion is None:
        yield pointwise.add_norm(precision, spec.hidden, 0, norms=traits, to=to)
    for parts in sums:
        if spec.parallel:
            sizes = precision, spec.hidden, parts
            yield pointwise.add_norm(*sizes, spec.output_bias, traits, to="nothing")
        biases = {spec.mlp_bias} if spec.parallel else {spec.mlp_bias, spec.output_bias}
        for bias in sorted(biases):
            yield pointwise.add_norm(precision, spec.hidden, parts, bias, traits, to)
        if spec.fusion is None:
            yield pointwise.final_norm(precision, spec.hidden, parts, spec.mlp_bias, traits)
