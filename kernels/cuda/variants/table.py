"""All machine code of a chip: what every model shares, and what is one model's.

A model's is only what knows its sizes when it is compiled: attention its heads, a norm its width.
"""

from collections.abc import Iterator

from raylax.kernels.cuda.pages import KV
from raylax.kernels.cuda.variants import attention, heads, pointwise, products, sampler
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
) -> list[Variant]:
    """Those of one model. `formats` are those of its packed weights (`products.DIGITS`), `shards`
    the ranks that share its heads. Raises CompileError for what no kernel is made for."""
    return [
        *products.variants(chip, precision, formats),
        *sampler.variants(),
        *of_model(spec, chip, precision, kv, shards),
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
    shape = AttentionShape.of(spec, precision, kv, shards)
    yield from attention.attend(shape, chip)
    yield attention.combine(shape)
    yield pointwise.embed(precision, spec.hidden)
    if spec.fusion is None:
        yield pointwise.add_norm(precision, spec.hidden, 0)
    else:
        yield from heads.of_fusion(spec, precision)
    for parts in SEGMENTS:
        yield pointwise.rope_append(shape, parts, spec.qkv_bias)
    for parts in SEGMENTS if shards == 1 else (shards,):
        yield pointwise.add_norm(precision, spec.hidden, parts)
        if spec.output_bias:
            yield pointwise.add_norm(precision, spec.hidden, parts, bias=True)
        if spec.fusion is None:
            yield pointwise.final_norm(precision, spec.hidden, parts)
