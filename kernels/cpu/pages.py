"""How keys and values lie in a page, and how one token is put there.

16 tokens a page and KV head. Keys are transposed, so that 16 tokens fill one vector and scores
need no horizontal sum: f32 K [dim][16], V [16][dim]; bf16 holds pairs in int32 lanes that feed the
dot instruction as they are: K [dim / 2][16], V [8][dim], a lane of V holding two tokens.
"""

from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.dot import Dot, F32Dot, bf16_dot, pairs_of, rounded
from raylax.kernels.cpu.emit import Expr, lanes, splat
from raylax.kernels.cpu.target import CPU

PAGE = 16


class F32Pages:
    """pages[page, 0: keys | 1: values, kv head, 16 * dim]."""

    name, dtype = "f32", "float32"

    def __init__(self) -> None:
        self.dot: Dot = F32Dot()

    def words(self, dim: int) -> int:
        """Elements of a page's keys, or values, of one head."""
        return PAGE * dim

    def append_key(self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]) -> None:
        page, token = T.floordiv(slot, PAGE), T.floormod(slot, PAGE)
        for j, vector in enumerate(vectors):
            at = T.ramp(j * 16 * PAGE + token, PAGE, 16)
            pages.store(vector.get(), page, 0, head, at)

    def append_value(
        self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]
    ) -> None:
        page, token = T.floordiv(slot, PAGE), T.floormod(slot, PAGE)
        for j, vector in enumerate(vectors):
            pages.store(vector.get(), page, 1, head, lanes(token * dim + j * 16))


class BF16Pages:
    """pages[page, 0: keys | 1: values, kv head, 8 * dim] of pairs."""

    name, dtype = "bf16", "int32"

    def __init__(self, native: bool) -> None:
        self.dot = bf16_dot(native)

    def words(self, dim: int) -> int:
        return PAGE * dim // 2

    def append_key(self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]) -> None:
        page, token = T.floordiv(slot, PAGE), T.floormod(slot, PAGE)
        for j, vector in enumerate(vectors):
            at = T.ramp(j * 8 * PAGE + token, PAGE, 8)
            pages.store(pairs_of(vector.get()), page, 0, head, at)

    def append_value(
        self, pages: Any, slot: Expr, head: Expr, dim: int, vectors: list[Any]
    ) -> None:
        """Keeps the other token of the pair; a head is one task, so nobody else writes the lane."""
        page, token = T.floordiv(slot, PAGE), T.floormod(slot, PAGE)
        odd = T.floormod(token, 2)
        others = splat(T.Select(odd > 0, T.int32(0xFFFF), T.int32(-65536)))
        for j, vector in enumerate(vectors):
            at = lanes(T.floordiv(token, 2) * dim + j * 16)
            halves = T.shift_right(rounded(vector.get()), splat(T.uint32(16)))
            bits = T.shift_left(T.reinterpret("int32x16", halves), splat(odd * 16))
            kept = T.bitwise_and(pages[page, 1, head, at], others)
            pages.store(T.bitwise_or(kept, bits), page, 1, head, at)


Pages = F32Pages | BF16Pages


def pages_named(name: str, cpu: CPU) -> Pages:
    return F32Pages() if name == "f32" else BF16Pages(cpu.native_bf16)
