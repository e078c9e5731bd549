"""How keys and values lie in a page, and how one token is put there.

16 tokens a page and KV head. Keys are transposed, so that 16 tokens fill one vector and scores
need no horizontal sum: f32 K [dim][16], V [16][dim]; bf16 holds pairs in int32 lanes that feed the
dot instruction as they are: K [dim / 2][16], V [8][dim], a lane of V holding two tokens; int8
holds four in a lane, and behind them a scale for each token.
"""

from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import (
    BytesDot,
    Dot,
    F32Dot,
    bf16_dot,
    pairs_of,
    rounded,
)
from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    lanes,
    splat,
)
from raylax.kernels.cpu.tir.integers import codes_of
from raylax.kernels.options import PAGE_SIZE


class F32Pages:
    """pages[page, 0: keys | 1: values, kv head, 16 * dim] of f32."""

    name, dtype = "f32", "float32"

    def __init__(self) -> None:
        self.dot: Dot = F32Dot()

    def words(self, dim: int) -> int:
        """Elements of a page's keys, or values, of one head."""
        return PAGE_SIZE * dim

    def append_key(self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]) -> None:
        page, token = T.floordiv(slot, PAGE_SIZE), T.floormod(slot, PAGE_SIZE)
        for j, vector in enumerate(vectors):
            at = T.ramp(j * 16 * PAGE_SIZE + token, PAGE_SIZE, 16)
            pages.store(vector.get(), page, 0, head, at)

    def append_value(
        self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]
    ) -> None:
        page, token = T.floordiv(slot, PAGE_SIZE), T.floormod(slot, PAGE_SIZE)
        for j, vector in enumerate(vectors):
            pages.store(vector.get(), page, 1, head, lanes(token * dim + j * 16))


class BF16Pages:
    """pages[page, 0: keys | 1: values, kv head, 8 * dim] of pairs."""

    name, dtype = "bf16", "int32"

    def __init__(self, native: bool) -> None:
        self.dot = bf16_dot(native)

    def words(self, dim: int) -> int:
        return PAGE_SIZE * dim // 2

    def append_key(self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]) -> None:
        page, token = T.floordiv(slot, PAGE_SIZE), T.floormod(slot, PAGE_SIZE)
        for j, vector in enumerate(vectors):
            at = T.ramp(j * 8 * PAGE_SIZE + token, PAGE_SIZE, 8)
            pages.store(pairs_of(vector.get()), page, 0, head, at)

    def append_value(
        self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]
    ) -> None:
        """Keeps the other token of the pair; a head is one task, so nobody else writes the lane."""
        page, token = T.floordiv(slot, PAGE_SIZE), T.floormod(slot, PAGE_SIZE)
        odd = T.floormod(token, 2)
        others = splat(T.Select(odd > 0, T.int32(0xFFFF), T.int32(-65536)))
        for j, vector in enumerate(vectors):
            at = lanes(T.floordiv(token, 2) * dim + j * 16)
            halves = T.shift_right(rounded(vector.get()), splat(T.uint32(16)))
            bits = T.shift_left(T.reinterpret("int32x16", halves), splat(odd * 16))
            kept = T.bitwise_and(pages[page, 1, head, at], others)
            pages.store(T.bitwise_or(kept, bits), page, 1, head, at)


class INT8Pages:
    """pages[page, 0: keys | 1: values, kv head, 4 * dim + 16]: bytes by four, 16 scales.

    A token's key, or value, is rounded to its own largest magnitude. One scale for a page would
    change with what is appended, hence with how a prompt is cut (law 1).
    """

    name, dtype = "int8", "int32"

    def __init__(self) -> None:
        self.dot: Dot = BytesDot()

    def words(self, dim: int) -> int:
        return PAGE_SIZE * dim // 4 + PAGE_SIZE

    def scales(self, dim: int, pages: Any, page: Expr, kind: int, head: Expr) -> Expr:
        """float32x16: the scales of the page's tokens."""
        return T.reinterpret("float32x16", pages[page, kind, head, lanes(PAGE_SIZE * dim // 4)])

    def append_key(self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]) -> None:
        page, token = T.floordiv(slot, PAGE_SIZE), T.floormod(slot, PAGE_SIZE)
        step, codes = codes_of(vectors)
        pages.store(T.reinterpret("int32", step), page, 0, head, PAGE_SIZE * dim // 4 + token)
        for j, code in enumerate(codes):
            quads = T.reinterpret("int32x4", T.cast(code.get(), "int8x16"))
            pages.store(quads, page, 0, head, T.ramp(j * 4 * PAGE_SIZE + token, PAGE_SIZE, 4))

    def append_value(
        self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]
    ) -> None:
        """Keeps the other tokens of the lane; a head is one task, so nobody else writes it."""
        page, token = T.floordiv(slot, PAGE_SIZE), T.floormod(slot, PAGE_SIZE)
        step, codes = codes_of(vectors)
        pages.store(T.reinterpret("int32", step), page, 1, head, PAGE_SIZE * dim // 4 + token)
        shift = Register(T.floormod(token, 4) * 8, "int32")
        ours = Register(T.shift_left(T.int32(0xFF), shift.get()), "int32")
        others = splat(T.bitwise_xor(ours.get(), T.int32(-1)))
        for j, code in enumerate(codes):
            at = lanes(T.floordiv(token, 4) * dim + j * 16)
            bits = T.bitwise_and(T.shift_left(code.get(), splat(shift.get())), splat(ours.get()))
            kept = T.bitwise_and(pages[page, 1, head, at], others)
            pages.store(T.bitwise_or(kept, bits), page, 1, head, at)


Pages = F32Pages | BF16Pages | INT8Pages


def begin_values(layout: Pages, pages: Any, slot: Expr, head: Expr, dim: int) -> None:
    """Where a token is the first one of its page, the values of all that may follow become 0.

    What another sequence left there may be NaN or infinite, and a masked key weighs 0: times that
    it is NaN. Keys are masked behind the product, so theirs may stay.
    """
    with T.If(T.floormod(slot, PAGE_SIZE) == 0), T.Then():
        page, nothing = T.floordiv(slot, PAGE_SIZE), splat(T.cast(T.int32(0), layout.dtype))
        with T.serial(0, layout.words(dim) // 16) as j:
            pages.store(nothing, page, 1, head, lanes(j * 16))


KV_DTYPES = ("f32", "bf16", "int8")


def pages_named(name: str, cpu: CPU) -> Pages:
    """The layout of a precision of keys and values; `name` is one of KV_DTYPES."""
    match name:
        case "f32":
            return F32Pages()
        case "bf16":
            return BF16Pages(cpu.fast_bf16)
    return INT8Pages()
