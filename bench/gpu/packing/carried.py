"""Which kernels a kit has: those that are checked, those that are timed, and tiles to try."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.pages import KV
from raylax.kernels.cuda.variants import attention, pointwise, products, sampler
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.product_tiles import Tile
from raylax.kernels.cuda.variants.table import of_model, shared
from raylax.kernels.errors import CompileError
from raylax.kernels.heads.checkpoint import HeadCheckpoint
from raylax.kernels.options import ModelOptions, ProgressCallback, silent
from raylax.kernels.spec import DecoderSpec, Rope
from raylax.kernels.store import Store

EIGHT_B = DecoderSpec(
    architecture="LlamaForCausalLM", hidden=4096, layers=32, heads=32, kv_heads=8, head_dim=128,
    intermediate=14336, vocab=128256, rope=Rope(500000.0), norm_eps=1e-5, max_positions=131072,
    tied_embeddings=False,
)  # fmt: skip
"""The shape that is timed: Llama 3.1's."""


def variants(chip: int, demo: DecoderSpec, small: bool) -> list[Variant]:
    """What is checked and timed. A tile for each number of tokens is what a step would take."""
    if small:
        made = [*products.variants(chip, "bf16", ("q4_g32", "q8_g32")), *sampler.variants()]
        made += [*of_model(demo, chip, "bf16"), *bytes_of(demo, chip, "int8")]
    else:
        made = [*shared(chip), *of_model(EIGHT_B, chip, "bf16")]
        for precision in ("bf16", "f16"):
            made += of_model(demo, chip, precision)
        for kv in ("int8", "fp8"):
            made += bytes_of(demo, chip, kv)
        for shape in limited(demo):
            made += [*attention.attend(shape, chip), attention.combine(shape)]
        made += of_model(biased(demo), chip, "bf16")
    return list({one.name: one for one in made}.values())


def of_head(head: HeadCheckpoint, chip: int) -> Sequence[Variant]:
    """What a draft head takes."""
    form = DeviceForm.of(head.spec, head.dtype, ModelOptions("q0bf16"), CHIPS[chip])
    return form.variants()


def bytes_of(demo: DecoderSpec, chip: int, kv: KV) -> Sequence[Variant]:
    """Attention over pages of bytes, by the narrowest tiles."""
    shape = AttentionShape(demo.heads, demo.kv_heads, demo.head_dim, "bf16", kv)
    return [*attention.attend(shape, chip)[:2], pointwise.rope_append(shape, 4)]


def limited(demo: DecoderSpec) -> list[AttentionShape]:
    """Of the demo model's heads, with a window, and a cap, sinks or scores beside it."""
    heads = AttentionShape(demo.heads, demo.kv_heads, demo.head_dim, "bf16", window=True)
    return [replace(heads, softcap=True), replace(heads, sinks=True), replace(heads, learned=True)]


def overlapped(chip: int, demo: DecoderSpec) -> list[Variant]:
    """Of whole models, kernels that may be started before the one ahead of them has ended."""
    options = ModelOptions("q0bf16", overlap_launches=True)
    forms = [DeviceForm.of(spec, "bfloat16", options, CHIPS[chip]) for spec in (demo, EIGHT_B)]
    return list({one.name: one for form in forms for one in form.variants()}.values())


def biased(demo: DecoderSpec) -> DecoderSpec:
    """With all biases that a spec may have."""
    return replace(demo, qkv_bias=True, output_bias=True)


OTHER_TILES = (
    Tile(8, 64, 256, 4, 3), Tile(8, 128, 64, 4, 5), Tile(8, 64, 64, 4, 8), Tile(16, 128, 64, 4, 4),
    Tile(64, 64, 128, 4, 3), Tile(64, 128, 64, 8, 4), Tile(128, 128, 64, 4, 3), Tile(128, 256, 64, 8, 3),
    Tile(256, 128, 64, 8, 3),
)  # fmt: skip
"""Of a dense product: tokens, rows, inputs of a step, warps, stages."""


def other_tiles(chip: int) -> list[Variant]:
    """Dense products in bf16 as the tables have them, by tiles that those have not."""
    made = []
    for plain in products.variants(chip, "bf16"):
        if plain.constants.get("WALK", False) or plain.most != 8:
            continue
        kernel = products.kernel_of(plain)
        for tile in OTHER_TILES:
            name = (
                f"{kernel}_m{tile.tokens}_n{tile.rows}_k{tile.inputs}_w{tile.warps}_s{tile.stages}"
            )
            constants = {**plain.constants, "BM": tile.tokens, "BN": tile.rows, "BK": tile.inputs}
            made.append(
                replace(
                    plain,
                    name=name,
                    constants=constants,
                    warps=tile.warps,
                    stages=tile.stages,
                    most=None,
                )
            )
    return made


def usable(tried: Sequence[Variant], chip: int, progress: ProgressCallback) -> list[Variant]:
    """Those that break no rule: most would spill on some chip."""
    kept = []
    for done, variant in enumerate(tried, 1):
        with suppress(CompileError):
            cubins_for([variant], CHIPS[chip], Store(), silent)
            kept.append(variant)
        progress("try other tiles", done / len(tried))
    return kept
