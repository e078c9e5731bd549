"""The launches of a step: which kernels, in which order, over which addresses.

A layer is a norm, the product of q, k and v, their rotation and place in the pages, attention, the
product o, another norm, the gated product and the product down. What a product came to lies in
parts, which the next kernel adds upwards. Where several ranks share the layers, each has a part of
what comes out of o and down, and a slice of the logits; `exchange.py` brings them together.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from raylax.kernels.cuda.device.code import Kernel, Launch
from raylax.kernels.cuda.device.memory import copy_rows
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.sizes import filled_share
from raylax.kernels.cuda.step.draws import CHANGES
from raylax.kernels.cuda.step.exchange import F32, Exchange, Work
from raylax.kernels.cuda.step.matrix import Address, DeviceMatrix
from raylax.kernels.cuda.variants import attention, pointwise, products
from raylax.kernels.cuda.variants.base import Variant

LOG2_E = 1.4426950408889634
Addresses = Mapping[str, Address]


class StepShape(NamedTuple):
    """What the launches of a step depend on, beside the model: their grids."""

    tokens: int
    rows: int
    """Tokens whose logits are wanted; at least one, since a GPU starts no empty kernel."""
    items: int
    """Programs of attention, of each KV head."""
    combined: int
    """Tokens whose attention was divided among programs; 0: nobody's was."""
    queries: int
    """Of attention's tile."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of a layer, and its keys and values, on the device."""

    norm_1: Address
    qkv: DeviceMatrix
    o: DeviceMatrix
    norm_2: Address
    gate_up: DeviceMatrix
    down: DeviceMatrix
    pages: Address
    scales: Address
    """Of pages that are bytes; 0: they are none."""


@dataclass(frozen=True, slots=True)
class Weights:
    """All that a model has on the device beside its inputs and values. Of norms that there are not,
    the address is 0."""

    embed: Address
    layers: Sequence[Layer]
    norm_f: Address
    head: DeviceMatrix
    cos: Address
    sin: Address


Given = tuple[DeviceForm, Mapping[str, Kernel], Weights, Addresses, int, Exchange | None]
"""What a `StepProgram` is made of."""


class Launches:
    """What every network launches, whatever its layers: products, and draws of logits."""

    def __init__(self, form: DeviceForm, kernels: Mapping[str, Kernel], at: Addresses) -> None:
        """`kernels`: machine code by the name of its variant; `at`: where inputs and values lie, by
        name."""
        self._spec, self._chip, self._kernels, self._at = form.own, form.chip.number, kernels, at
        self._precision = form.quantization.precision

    def _kernel(self, variant: Variant) -> Kernel:
        return self._kernels[variant.name]

    def _product(
        self, matrix: DeviceMatrix, x: Address, tokens: int, y: Address
    ) -> tuple[int, Launch]:
        """x @ w^T: how many parts of it lie in `y`, and the launch. Its reader adds the bias."""
        variant = products.choose(self._chip, f"linear_{matrix.format}", tokens, matrix.shape)
        launch = self._kernel(variant).launch(
            products.grid(variant, tokens, matrix.shape),
            *(x, *matrix.arrays, 0, y, tokens, *matrix.shape, *matrix.zero),
        )
        return products.parts(variant, matrix.shape), launch

    def _draw(self, rows: int) -> Iterator[Work]:
        """What each row of the logits is drawn."""
        s, at = self._spec, self._at
        changes = ("starts", "ends", *CHANGES, "repetitions", "presences", "frequencies")
        yield self._kernels["adjust"].launch(
            (rows,), at["logits"], *(at[name] for name in changes), s.padded_drawn
        )
        rule = ("scales", "top_ks", "top_ps", "leasts", "seeds", "choices", "at")
        yield self._kernels["sample"].launch(
            (rows,),
            *(at["logits"], *(at[name] for name in rule), at["drawn"], at["largest"], at["kept"]),
            *(s.drawn, s.padded_drawn),
        )


class StepProgram(Launches):
    """Makes the launches of a model's steps."""

    def __init__(
        self,
        form: DeviceForm,
        kernels: Mapping[str, Kernel],
        weights: Weights,
        at: Addresses,
        stream: int,
        exchange: Exchange | None = None,
    ) -> None:
        """`exchange`: with other ranks, if there are any."""
        super().__init__(form, kernels, at)
        self._exchange, self._stream, self._taps = exchange, stream, form.taps
        self._weights, self._heads = weights, form.heads
        self._eps = self._spec.norm_eps * filled_share(self._spec)
        self._tiles = attention.attend(form.heads, form.chip.number)

    def launches(self, shape: StepShape) -> list[Work]:
        """Of a step of this shape, in order."""
        return [*self._all(shape)]

    def _all(self, shape: StepShape) -> Iterator[Work]:
        s, at, tokens, parts = self._spec, self._at, shape.tokens, 0
        yield self._kernel(pointwise.embed(self._precision, s.hidden)).launch(
            (tokens,), at["ids"], self._weights.embed, at["hidden"], s.hidden, s.tokens
        )
        for number, layer in enumerate(self._weights.layers):
            yield self._norm(layer.norm_1, parts, tokens)
            yield from self._tap(number, tokens)
            parts = yield from self._layer(layer, at["normed"], shape)
        yield from self._head(parts, shape)
        if s.layers in self._taps:  # whatever its norm: the stream is what is wanted
            yield self._norm(self._weights.norm_f, parts, tokens)
            yield from self._tap(s.layers, tokens)

    def _tap(self, layer: int, tokens: int) -> Iterator[Work]:
        """What the residual stream is now, before this layer, if it is to be kept."""
        if layer in self._taps:
            at, size = self._at, self._spec.hidden * F32
            to, stride = at["taps"] + self._taps.index(layer) * size, len(self._taps) * size
            yield partial(copy_rows, to, stride, at["hidden"], size, tokens, self._stream)

    def _layer(self, layer: Layer, x: Address, shape: StepShape) -> Generator[Work, None, int]:
        """All of it behind the norm that attention reads, which has left `x`: how many parts lie
        there of what it adds to the residual stream."""
        at, tokens = self._at, shape.tokens
        parts, product = self._product(layer.qkv, x, tokens, at["parts"])
        yield product
        yield self._rotate(layer, parts, tokens)
        yield from self._attend(layer, shape)
        parts = yield from self._sum(layer.o, at["attended"], tokens)
        yield self._norm(layer.norm_2, parts, tokens, layer.o.bias)
        yield self._gated(layer.gate_up, tokens)
        return (yield from self._sum(layer.down, at["gated"], tokens))

    def _norm(self, weight: Address, parts: int, tokens: int, bias: Address = 0) -> Launch:
        """After a product that left these parts, to which its bias belongs."""
        s, at = self._spec, self._at
        kernel = self._kernel(pointwise.add_norm(self._precision, s.hidden, parts, bool(bias)))
        return kernel.launch(
            (tokens,),
            *(at["hidden"], at["parts"], bias, weight, at["normed"], tokens, s.hidden, self._eps),
        )

    def _sum(self, matrix: DeviceMatrix, x: Address, tokens: int) -> Generator[Work, None, int]:
        """A product whose inputs ranks share: how many parts of it there are in the end."""
        parts, exchange = self._at["parts"], self._exchange
        if exchange is None:
            count, product = self._product(matrix, x, tokens, parts)
            yield product
            return count
        size = tokens * matrix.shape.features * F32
        yield self._product(matrix, x, tokens, exchange.own(parts, size))[1]
        yield exchange.gather(parts, size)
        return exchange.ranks

    def _gated(self, matrix: DeviceMatrix, tokens: int) -> Launch:
        """silu(gate) * up, of a matrix that has the rows of gate and then those of up."""
        half = matrix.shape._replace(features=matrix.shape.features // 2)
        variant = products.choose(self._chip, f"gated_{matrix.format}", tokens, half)
        (tiles, _), at = products.grid(variant, tokens, half), self._at
        return self._kernel(variant).launch(
            (tiles,),
            *(at["normed"], *matrix.arrays, at["gated"], tokens, half.features, half.depth),
            *matrix.zero,
        )

    def _rotate(self, layer: Layer, parts: int, tokens: int) -> Launch:
        s, at, bias = self._spec, self._at, layer.qkv.bias
        heads = s.heads + 2 * s.kv_heads
        return self._kernel(pointwise.rope_append(self._heads, parts, bool(bias))).launch(
            (tokens, -(-heads // pointwise.HEADS_AT_ONCE)),
            *(at["parts"], bias, at["positions"], at["slots"]),
            *(self._weights.cos, self._weights.sin),
            *(at["queries"], layer.pages, layer.scales, tokens),
        )

    def _attend(self, layer: Layer, shape: StepShape) -> Iterator[Launch]:
        s, at = self._spec, self._at
        tile = next(one for one in self._tiles if one.most == shape.queries)
        yield self._kernel(tile).launch(
            (shape.items, s.kv_heads),
            *(at["queries"], layer.pages, layer.scales, at["tables"], at["items"], at["attended"]),
            *(at["partial"], at["summary"], s.own_head_dim**-0.5 * LOG2_E),
            *(s.softcap * LOG2_E, s.recent, *([s.sinks] if s.sinks else []), 1),
        )
        if shape.combined:
            yield self._kernel(attention.combine(self._heads)).launch(
                (shape.combined, s.heads),
                *(at["partial"], at["summary"], at["combined"], at["attended"], shape.queries),
            )

    def _head(self, parts: int, shape: StepShape) -> Iterator[Work]:
        s, at, rows = self._spec, self._at, shape.rows
        yield self._kernel(pointwise.final_norm(self._precision, s.hidden, parts)).launch(
            (rows,),
            *(at["hidden"], at["parts"], 0, self._weights.norm_f, at["rows"], at["top"]),
            *(at["states"], shape.tokens, s.hidden, self._eps),
        )
        yield from self._logits(rows)
        yield from self._draw(rows)

    def _logits(self, rows: int) -> Iterator[Work]:
        """On every rank all of them."""
        at, head, exchange = self._at, self._weights.head, self._exchange
        if exchange is None:
            yield self._product(head, at["top"], rows, at["logits"])[1]
            return
        shares, width = at["shares"], head.shape.features
        size = rows * width * F32
        yield self._product(head, at["top"], rows, exchange.own(shares, size))[1]
        yield exchange.gather(shares, size)
        yield from exchange.spread(shares, width, rows, at["logits"], self._spec.padded_vocab)
