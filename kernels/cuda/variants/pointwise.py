"""Machine code for what lies between products: one for a row's width, or for a model's heads."""

from raylax.kernels.cuda.pages import FORMATS
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.cuda.variants.base import PRECISIONS, Variant, signature
from raylax.kernels.errors import CompileError
from raylax.kernels.options import PAGE_SIZE

HEADS_AT_ONCE = 8
"""Of a program of `rope_append`: its grid is (tokens, all heads / this)."""
MOST_WIDTH = 16384


def padded(width: int) -> dict[str, int | bool]:
    """The constant of a row's width. CompileError for one that no kernel is made for."""
    if width % 16 or not 16 <= width <= MOST_WIDTH:
        raise CompileError(
            f"rows on a GPU have 16 to {MOST_WIDTH} numbers, a multiple of 16; this model's hidden "
            f"state has {width}: serve it with --device cpu"
        )
    return {"WIDTH": 1 << (width - 1).bit_length()}


def checked(precision: str) -> str:
    """The precision, if there are kernels for it; CompileError if not."""
    if precision not in PRECISIONS:
        known = ", ".join(sorted(PRECISIONS))
        raise CompileError(f"kernels for GPUs are in {known}, asked for {precision}")
    return precision


def warps_of(width: int) -> int:
    """8 to 16 numbers a thread, but 32 for very wide rows, of which more would spill."""
    return 16 if width > 8192 else 8 if width > 2048 else 4


def embed(precision: str, width: int) -> Variant:
    """Rows of a table of this precision."""
    return Variant(
        f"embed_{precision}_{width}",
        "pointwise:embed",
        signature("ids:j table:k hidden:f width:i vocab:i", checked(precision)),
        padded(width),
        warps_of(width),
        2,
        ("width",),
    )


def add_norm(precision: str, width: int, parts: int, bias: bool = False) -> Variant:
    """After a product of `parts` segments; 0: of none, before the first layer."""
    return norm("add_norm", "hidden:f parts:f bias:k weight:k y:k", precision, width, parts, bias)


def final_norm(precision: str, width: int, parts: int, bias: bool = False) -> Variant:
    """After the last product, of `parts` segments."""
    arguments = "hidden:f parts:f bias:k weight:k rows:j y:k states:f"
    return norm("final_norm", arguments, precision, width, parts, bias)


def norm(
    kernel: str, arguments: str, precision: str, width: int, parts: int, bias: bool
) -> Variant:
    return Variant(
        f"{kernel}_{precision}_{width}_p{parts}" + ("_bias" if bias else ""),
        f"pointwise:{kernel}",
        signature(f"{arguments} tokens:i width:i eps:s", checked(precision)),
        {"PARTS": parts, "HAS_BIAS": bias, **padded(width)},
        warps_of(width),
        2,
        ("width",),
    )


def rope_append(shape: AttentionShape, parts: int, bias: bool = False) -> Variant:
    """After the product of queries, keys and values, of `parts` segments."""
    return Variant(
        f"rope_append_{shape.heads_name}_{shape.kv}_p{parts}" + ("_bias" if bias else ""),
        "pointwise:rope_append",
        signature(
            "parts:f bias:k positions:j slots:j cos:f sin:f q:k "
            f"pages:{shape.pages} scales:f tokens:i",
            shape.precision,
        ),
        {
            "PARTS": parts,
            "HAS_BIAS": bias,
            **shape.sizes,
            "PAGE": PAGE_SIZE,
            "KV": FORMATS[shape.kv],
            "BLOCK": HEADS_AT_ONCE,
        },
        4,
        2,
    )
