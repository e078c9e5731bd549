"""Machine code of draft heads alone, beside that of decoders: for a row's width, as norms have it,
and one that all share."""

from collections.abc import Iterator
from typing import Literal

from raylax.kernels.cuda.variants.base import Variant, signature
from raylax.kernels.cuda.variants.pointwise import MOST_WIDTH, checked, padded, warps_of
from raylax.kernels.cuda.variants.segments import SEGMENTS
from raylax.kernels.spec import DecoderSpec, Fusion

BLOCK = 1024
"""Tokens of a program of `spread`."""
STEP = 16
Kept = Literal["nothing", "the row", "what is read"]
KEPT: dict[Kept, int] = {"nothing": 0, "the row": 1, "what is read": 2}
"""As `take` knows them."""


def take(
    precision: str,
    width: int,
    parts: int = 1,
    bias: bool = False,
    norm: bool = False,
    kept: Kept = "nothing",
) -> Variant:
    """Rows as a product reads them."""
    traits = ("_bias" if bias else "") + ("_norm" if norm else "")
    return Variant(
        f"take_{precision}_{width}_p{parts}{traits}_k{KEPT[kept]}",
        "heads:take",
        signature(
            "parts:f bias:k weight:k hidden:f y:k tokens:i width:i stride:i eps:s",
            checked(precision),
        ),
        {"PARTS": parts, "HAS_BIAS": bias, "NORM": norm, "KEPT": KEPT[kept], **padded(width)},
        warps_of(width),
        2,
        ("width", "stride"),
    )


def go_on(precision: str, width: int, parts: int, norm: bool, behind: bool) -> Variant:
    """After the last product of a head's layer, of `parts` segments."""
    traits = ("_norm" if norm else "") + ("_behind" if behind else "")
    return Variant(
        f"go_on_{precision}_{width}_p{parts}{traits}",
        "heads:go_on",
        signature(
            "hidden:f parts:f weight:k rows:j y:k states:f tokens:i width:i eps:s",
            checked(precision),
        ),
        {"PARTS": parts, "NORM": norm, "BEHIND": behind, **padded(width)},
        warps_of(width),
        2,
        ("width",),
    )


def residual(precision: str, width: int, parts: int) -> Variant:
    """After the product of one of Medusa's blocks, of `parts` segments."""
    return Variant(
        f"residual_{precision}_{width}_p{parts}",
        "heads:residual",
        signature("hidden:f parts:f bias:k y:k tokens:i width:i", checked(precision)),
        {"PARTS": parts, **padded(width)},
        warps_of(width),
        2,
        ("width",),
    )


def spread() -> Variant:
    """Logits of few tokens among all."""
    types = signature("named:f places:j logits:f few:i stride:i")
    return Variant("spread", "heads:spread", types, {"BLOCK": BLOCK}, 4, 2, ("few", "stride"))


def pieces(width: int) -> int:
    """Into how many rows of one width the numbers of a base are cut, which may be more than a
    kernel takes as one row."""
    assert width % STEP == 0
    most = range(1, width // STEP + 1)
    return next(n for n in most if width % (STEP * n) == 0 and width // n <= MOST_WIDTH)


# How each step of a head is computed: the program asks for the same that is compiled.


def of_feature(precision: str, width: int, fusion: Fusion) -> Variant:
    """What the base keeps, for the product that makes features; or features, where none does."""
    if fusion.into == "residual":
        return take(precision, width, norm=True, kept="what is read")
    return take(precision, fusion.tapped // pieces(fusion.tapped))


def of_embedding(precision: str, width: int, fusion: Fusion) -> Variant:
    """A token's embedding, beside its feature."""
    return take(precision, width, norm="norm_e" in fusion.norms)


def of_residual(precision: str, width: int, fusion: Fusion) -> Variant:
    """The feature, which is the residual stream where no matrix makes that of both."""
    kept: Kept = "nothing" if fusion.into == "residual" else "the row"
    if fusion.normed_residual:
        kept = "what is read"
    return take(precision, width, norm="norm_h" in fusion.norms, kept=kept)


def of_matrix(precision: str, width: int, fusion: Fusion, parts: int) -> Variant:
    """What the head's matrix came to: features, or the residual stream and what the layer reads."""
    if fusion.into == "attention":
        return take(precision, width, parts, kept="the row")
    return take(precision, width, parts, fusion.bias, "norm_1" in fusion.norms, "the row")


def of_end(precision: str, width: int, fusion: Fusion, parts: int) -> Variant:
    """What the layer came to."""
    return go_on(precision, width, parts, "norm_f" in fusion.norms, fusion.into == "residual")


def of_fusion(spec: DecoderSpec, precision: str) -> Iterator[Variant]:
    """All of a head that has a layer."""
    fusion, width = spec.fusion, spec.hidden
    assert fusion is not None
    found = [one(precision, width, fusion) for one in (of_feature, of_embedding, of_residual)]
    found += [one(precision, width, fusion, n) for one in (of_matrix, of_end) for n in SEGMENTS]
    if spec.vocab != fusion.vocab:
        found.append(spread())
    yield from {one.name: one for one in found}.values()


def of_medusa(spec: DecoderSpec, precision: str) -> Iterator[Variant]:
    """All of Medusa's heads."""
    yield take(precision, spec.hidden)
    for parts in SEGMENTS if spec.blocks else ():
        yield residual(precision, spec.hidden, parts)
