"""Machine code for what lies between products: one for a row's width, or for a model's heads."""

from typing import Literal, NamedTuple, Self

from raylax.kernels.cuda.pages import FORMATS
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.cuda.variants.base import PRECISIONS, Variant, signature
from raylax.kernels.errors import CompileError
from raylax.kernels.options import PAGE_SIZE
from raylax.kernels.spec import DecoderSpec

HEADS_AT_ONCE = 8
"""Of a program of `rope_append`: its grid is (tokens, all heads / this)."""
MOST_WIDTH, MOST_WIDTH_AFTER = 16384, 8192
"""Of rows, and of those that stand behind two norms: on some chips wider ones spill."""
To = Literal["nothing", "the row", "normed"]
TO: dict[To, int] = {"nothing": 0, "the row": 1, "normed": 2}
"""As `add_norm` knows them."""
QkNorm = Literal["", "head", "whole"]
QK: dict[QkNorm, int] = {"": 0, "head": 1, "whole": 2}
"""As `rope_append` knows them."""


class Norms(NamedTuple):
    """What the machine code of a model's norms depends on, beside its sizes."""

    wide: bool = False
    """Whether their weights are float32."""
    layer: bool = False
    """Whether they are layer norms."""
    shifted: bool = False
    """Whether they have biases."""
    after: bool = False
    """Whether what is added to the residual stream stands behind one, too."""
    scaled: bool = False
    """Whether that is scaled."""

    @classmethod
    def of(cls, spec: DecoderSpec) -> Self:
        """A model's. Of all but Llama's kind the weights are float32: some are sums of 1 and a
        small number, of which halves keep little."""
        return cls(
            bool(spec.unlike_llama or spec.norm_offset),
            spec.norm == "layer",
            spec.norm_bias,
            spec.norm_after,
            spec.residual_scale != 1,
        )

    def where(self, added: bool, normed: bool) -> "Norms":
        """What is left of them where something is `added`, or not, and something `normed`."""
        after = self.after and added
        if not (normed or after):
            return Norms(scaled=self.scaled and added)
        return self._replace(after=after, scaled=self.scaled and added)


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


def embed(precision: str, width: int, scaled: bool = False, placed: bool = False) -> Variant:
    """Rows of a table of this precision, perhaps with those of another one for positions."""
    traits = ("_scaled" if scaled else "") + ("_placed" if placed else "")
    given = "scale:s " * scaled + "positions:j places:k" * placed
    absent = ([] if scaled else ["scale"]) + ([] if placed else ["positions", "places"])
    return Variant(
        f"embed_{precision}_{width}{traits}",
        "pointwise:embed",
        signature(f"ids:j table:k hidden:f width:i vocab:i {given}", checked(precision)),
        {**dict.fromkeys(absent, 0), "SCALED": scaled, "PLACED": placed, **padded(width)},
        warps_of(width),
        2,
        ("width",),
    )


def read_by_products(spec: DecoderSpec) -> To:
    """What the products of a layer read."""
    return "normed" if spec.norm_before else "the row"


def embed_of(spec: DecoderSpec, precision: str) -> Variant:
    """A model's."""
    return embed(precision, spec.hidden, spec.embed_scale != 1, spec.learned_positions > 0)


def add_norm(
    precision: str,
    width: int,
    parts: int,
    bias: bool = False,
    norms: Norms = Norms(),  # noqa: B008
    to: To = "normed",
) -> Variant:
    """After a product of `parts` segments; 0: of none, before the first layer. `to`: what becomes
    of the row that comes of it."""
    norms = norms.where(parts > 0, to == "normed")
    mark = {"nothing": "_to_nothing", "the row": "_to_row", "normed": ""}[to]
    arguments = "hidden:f parts:f bias:k weight:w y:k"
    return norm("add_norm", arguments, precision, width, parts, bias, norms, mark, TO=TO[to])


def final_norm(
    precision: str,
    width: int,
    parts: int,
    bias: bool = False,
    norms: Norms = Norms(),  # noqa: B008
) -> Variant:
    """After the last product, of `parts` segments."""
    arguments = "hidden:f parts:f bias:k weight:w rows:j y:k states:f"
    return norm("final_norm", arguments, precision, width, parts, bias, norms)


def norm(
    kernel: str, arguments: str, precision: str, width: int, parts: int, bias: bool, norms: Norms,
    mark: str = "", **more: int,
) -> Variant:  # fmt: skip
    """`w` in the arguments is the type of norms' weights; `mark`: what the name has of `more`
    constants."""
    if norms.after and width > MOST_WIDTH_AFTER:
        raise CompileError(
            f"rows on a GPU have at most {MOST_WIDTH_AFTER} numbers where norms stand behind "
            f"attention and MLP; this model's hidden state has {width}: serve it with --device cpu"
        )
    weights = "f" if norms.wide else "k"
    own = {
        "own": ("i", norms.layer),
        "shift": ("w", norms.shifted),
        "after": ("w", norms.after),
        "after_shift": ("w", norms.after and norms.shifted),
        "scale": ("s", norms.scaled),
    }
    given = " ".join(f"{name}:{kind}" for name, (kind, has) in own.items() if has)
    text = f"{arguments} tokens:i width:i eps:s {given}".replace(":w", f":{weights}")
    traits = "".join(f"_{name}" for name, has in norms._asdict().items() if has)
    return Variant(
        f"{kernel}_{precision}_{width}_p{parts}" + ("_bias" if bias else "") + traits + mark,
        f"pointwise:{kernel}",
        signature(text, checked(precision)),
        {
            **{name: 0 for name, (_, has) in own.items() if not has},
            "PARTS": parts,
            "HAS_BIAS": bias,
            "LAYER": norms.layer,
            "SHIFTED": norms.shifted,
            "AFTER": norms.after,
            "SCALED": norms.scaled,
            **padded(width),
            **more,
        },
        warps_of(width),
        2,
        ("width",),
    )


def root_of_heads(shape: AttentionShape, parts: int, bias: bool = False) -> Variant:
    """Before `rope_append`, where a norm is of all heads."""
    width = shape.heads * shape.dim
    return Variant(
        f"root_of_heads_{shape.heads_name}_p{parts}" + ("_bias" if bias else ""),
        "pointwise:root_of_heads",
        signature("parts:f bias:k roots:f tokens:i eps:s", shape.precision),
        {"PARTS": parts, "HAS_BIAS": bias, **shape.sizes, **padded(width)},
        warps_of(width),
        2,
    )


def rope_append(shape: AttentionShape, parts: int, bias: bool = False, qk: QkNorm = "") -> Variant:
    """After the product of queries, keys and values, of `parts` segments. `qk`: their norms."""
    given = {"norms": bool(qk), "roots": qk == "whole", "eps": qk == "head"}
    own = " norms:f" * given["norms"] + " roots:f" * given["roots"] + " eps:s" * given["eps"]
    return Variant(
        f"rope_append_{shape.heads_name}_{shape.kv}_p{parts}"
        + ("_bias" if bias else "")
        + (f"_{qk}_norm" if qk else ""),
        "pointwise:rope_append",
        signature(
            "parts:f bias:k positions:j slots:j cos:f sin:f q:k "
            f"pages:{shape.pages} scales:f tokens:i{own}",
            shape.precision,
        ),
        {
            **{name: 0 for name, has in given.items() if not has},
            "PARTS": parts,
            "HAS_BIAS": bias,
            **shape.sizes,
            "PAGE": PAGE_SIZE,
            "KV": FORMATS[shape.kv],
            "QK": QK[qk],
            "BLOCK": HEADS_AT_ONCE,
        },
        4,
        2,
    )
