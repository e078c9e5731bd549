"""What every operator of the step is made with: buffers, tiles of rows, products, and how what they
come to is stored for the next one.

`b` holds the buffers by name, the layered ones already at their layer; `tokens` is how many rows
the step has. Rows are computed in tiles; the rows that only fill the last tile are never stored.
Weights are those of the whole model, activations those of one rank (`raylax.kernels.shards`).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats import Quantization
from raylax.kernels.cpu.formats.base import Format, RowFormat, RowTile
from raylax.kernels.cpu.step.buffers import MEETS
from raylax.kernels.cpu.step.pages import Pages
from raylax.kernels.cpu.tir.emit import Expr, in_64_bits, lanes, scratch
from raylax.kernels.cpu.tir.exchange import Exchange
from raylax.kernels.cpu.tir.queue import Queue
from raylax.kernels.shards import GROUP, PANEL
from raylax.kernels.spec import DecoderSpec


class View:
    """A buffer whose leading indices (the layer) are fixed. `large`: it may have more than 2^31
    elements, so that places in it are reckoned in 64 bits."""

    def __init__(self, buffer: Expr, *prefix: Expr, large: bool = False) -> None:
        self.buffer, self.prefix, self.large = buffer, prefix, large

    def __getitem__(self, index: Expr) -> Expr:
        return self.buffer[tuple(self._at(index if isinstance(index, tuple) else (index,)))]

    def at(self, *index: Expr) -> "View":
        """With more leading indices fixed."""
        return View(self.buffer, *self.prefix, *index, large=self.large)

    def store(self, value: Expr, *index: Expr) -> None:
        """Emits the storing of a value behind the fixed indices."""
        T.buffer_store(self.buffer, value, self._at(index))

    def _at(self, index: tuple[Expr, ...]) -> list[Expr]:
        whole = [*self.prefix, *index]
        return [in_64_bits(one) for one in whole] if self.large else whole


@dataclass
class Emitter:
    """What every operator needs to know; `b` changes from layer to layer."""

    whole: DecoderSpec
    spec: DecoderSpec
    """The sizes that one rank computes of it."""
    quantization: Quantization
    pages: Pages
    queue: Queue
    registers: int
    tokens: Expr
    tile_rows: int
    prefetch: bool
    b: dict[str, View]
    place: dict[str, Expr]
    """The rank's `Place`."""
    exchange: Exchange | None
    """None: one rank computes whole layers."""
    window: Expr = None
    """Keys that a token sees in this layer, where there are local ones."""

    @property
    def tiles(self) -> Expr:
        """How many tiles the step's rows fill."""
        return T.floordiv(self.tokens + (self.tile_rows - 1), self.tile_rows)

    @property
    def sharded(self) -> bool:
        """Whether several ranks share each layer."""
        return self.exchange is not None

    @contextlib.contextmanager
    def unless_over(self) -> Iterator[None]:
        """What is inside is left out once the shards' group is over."""
        with self.exchange.unless_over() if self.exchange else contextlib.nullcontext():
            yield

    def format_of(self, buffer: str) -> Format:
        """The format of weights, or of the activations that meet them."""
        return self.quantization.formats[MEETS.get(buffer, buffer)]

    @contextlib.contextmanager
    def rows_of(self, tile: Expr) -> Iterator[tuple[Expr, Expr]]:
        """(row in the tile, row of the step) of every row that the step has."""
        with T.serial(0, self.tile_rows) as m:
            row = T.Bind(tile * self.tile_rows + m)
            with T.If(row < self.tokens), T.Then():
                yield m, row

    def product(
        self,
        source: str,
        k: int,
        tile: Expr,
        weight: str,
        panels: list[Expr],
        first: Expr = 0,
        expert: Expr = None,
    ) -> Expr:
        """Products of a tile with some panels, as scratch [tile_rows, len(panels) * 32]; the k
        activations meet the weights from column `first` on, or those of an expert.

        The epilogues are loops over this scratch: unrolled, their constants would take the
        registers of the product's own loop.
        """
        width = len(panels) * PANEL
        out = scratch(self.tile_rows * width)
        for p, panel in enumerate(panels):

            def store(row: int, half: int, value: Expr, column: int = p * PANEL) -> None:
                T.buffer_store(out, value, [lanes(row * width + column + half * 16)])

            fmt = self.format_of(weight)
            rows = RowTile(self.b[source], k, self.tile_rows, tile, first)
            ahead = fmt.ahead if self.prefetch else 0
            matrix = self.b[weight] if expert is None else self.b[weight].at(expert)
            fmt.product(rows, matrix, panel, ahead, store)
        return out

    def store_group(self, out: str, k: int, row: Expr, group: Expr, pair: list[Any]) -> None:
        """Activations 32 * group .. + 31 of a row, as the next product reads them.

        A format that rounds rows as wholes gets them in f32 first; `close_row` follows.
        """
        fmt = self.format_of(out)
        if isinstance(fmt, RowFormat):
            for half, value in enumerate(pair):
                self.b["wide"].store(value.get(), row, lanes(group * GROUP + half * 16))
        else:
            fmt.store_group(*self.tile_of(out, k, row), group, pair)

    def close_row(self, out: str, k: int, row: Expr) -> None:
        """Ends the storing of a row, after all of its groups."""
        fmt = self.format_of(out)
        if isinstance(fmt, RowFormat):
            fmt.store_row(*self.tile_of(out, k, row), lambda at: self.b["wide"][row, at])

    def close_rows(self, name: str, out: str, k: int) -> None:
        """Ends all rows, in a region of its own: where different tasks stored the groups of a
        row."""
        if isinstance(self.format_of(out), RowFormat):
            with self.queue.region(name, self.tokens) as row:
                self.close_row(out, k, row)

    def tile_of(self, out: str, k: int, row: Expr) -> tuple[RowTile, Expr]:
        """The tile of a row, and where it is there."""
        tile, m = T.floordiv(row, self.tile_rows), T.floormod(row, self.tile_rows)
        return RowTile(self.b[out], k, self.tile_rows, tile), m
