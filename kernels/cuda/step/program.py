"""The launches of a step: which kernels, in which order, over which addresses.

A layer is a norm, the product of q, k and v, their rotation and place in the pages, attention, the
product o, another norm, the gated product and the product down, or experts. What a product came to
lies in parts, which the next kernel adds upwards. Where ranks share the layers, each has a part of
what comes out of o and down, and a slice of the logits; `exchange.py` brings them together.

What a model has beside that follows from its spec, as the machine code does (`variants/`).
"""

from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from raylax.kernels.cuda.device.code import Kernel, Launch
from raylax.kernels.cuda.device.memory import copy_rows
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.sizes import filled_share, filled_share_of_heads
from raylax.kernels.cuda.step.exchange import F32, Exchange, Work
from raylax.kernels.cuda.step.experts import ExpertLaunches
from raylax.kernels.cuda.step.launches import Addresses, Launches
from raylax.kernels.cuda.step.weights.places import (
    NO_NORM,
    Address,
    DeviceMatrix,
    DeviceNorm,
    Layer,
    Weights,
)
from raylax.kernels.cuda.variants import attention, elementwise, pointwise, products

LOG2_E = 1.4426950408889634


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


class Sum(NamedTuple):
    """What a product has left in `parts`, and what stands between it and the residual stream."""

    parts: int = 0
    """How many, to be added upwards."""
    bias: Address = 0
    norm: DeviceNorm = NO_NORM


NOTHING = Sum()
Given = tuple[DeviceForm, Mapping[str, Kernel], Weights, Addresses, int, Exchange | None]
"""What a `StepProgram` is made of."""


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
        self._eps_of_heads = self._spec.norm_eps * filled_share_of_heads(self._spec)
        s = self._spec
        self._norms, self._to = pointwise.Norms.of(s), pointwise.read_by_products(s)
        self._eps = s.norm_eps * (1.0 if self._norms.layer else filled_share(s))
        self._scale = (s.query_scale or s.own_head_dim**-0.5) * LOG2_E
        self._tiles, self._experts = form.tiles, ExpertLaunches(form, kernels, at)

    def launches(self, shape: StepShape) -> list[Work]:
        """Of a step of this shape, in order."""
        return [*self._all(shape)]

    def _all(self, shape: StepShape) -> Iterator[Work]:
        s, tokens, added = self._spec, shape.tokens, NOTHING
        yield self._embed(tokens)
        for number, layer in enumerate(self._weights.layers):
            yield self._norm(layer.norm_1, added, tokens)
            yield from self._tap(number, tokens)
            added = yield from self._layer(layer, self._at["normed"], shape)
        yield from self._head(added, shape)
        if s.layers in self._taps:  # whatever its norm: the stream is what is wanted
            yield self._norm(self._weights.norm_f, added, tokens)
            yield from self._tap(s.layers, tokens)

    def _embed(self, tokens: int) -> Launch:
        s, at, weights = self._spec, self._at, self._weights
        return self._launch(
            pointwise.embed_of(s, self._precision),
            (tokens,),
            ids=at["ids"], table=weights.embed, hidden=at["hidden"], width=s.hidden, vocab=s.tokens,
            scale=s.embed_scale, positions=at["positions"], places=weights.places,
        )  # fmt: skip

    def _tap(self, layer: int, tokens: int) -> Iterator[Work]:
        """What the residual stream is now, before this layer, if it is to be kept."""
        if layer in self._taps:
            at, size = self._at, self._spec.hidden * F32
            to, stride = at["taps"] + self._taps.index(layer) * size, len(self._taps) * size
            yield partial(copy_rows, to, stride, at["hidden"], size, tokens, self._stream)

    def _layer(self, layer: Layer, x: Address, shape: StepShape) -> Generator[Work, None, Sum]:
        """All of it behind the norm that attention reads, which has left `x`: what it adds to the
        residual stream."""
        s, at, tokens = self._spec, self._at, shape.tokens
        units = at["normed"]  # what the MLP reads
        if s.parallel and not s.shared_norm:
            units = at["beside"]
            yield self._norm(layer.norm_2, NOTHING, tokens, to=units)
        yield from self._attention(layer, x, shape)
        parts = yield from self._sum(layer.o, at["attended"], tokens)
        added = Sum(parts, layer.o.bias, layer.norm_o)
        if s.parallel:
            yield self._norm(NO_NORM, added, tokens, to=0)
        else:
            yield self._norm(layer.norm_2, added, tokens)
        return (yield from self._mlp(layer, units, tokens))

    def _mlp(self, layer: Layer, x: Address, tokens: int) -> Generator[Work, None, Sum]:
        """What an MLP, experts or both of them add to the residual stream."""
        mlp, exchange = layer.mlp, self._exchange
        parts, gated = self._at["parts"], self._at["gated"]
        if mlp is not None:
            yield from self._units(mlp.into, x, tokens)
        if layer.experts is None:
            assert mlp is not None
            count = yield from self._sum(mlp.out, gated, tokens)
            return Sum(count, mlp.out.bias, layer.norm_down)
        size, count, bias = tokens * self._spec.hidden * F32, 0, 0
        y = parts if exchange is None else exchange.own(parts, size)
        if mlp is not None:
            count, product = self._product(mlp.out, gated, tokens, y)
            bias = mlp.out.bias
            yield product
        yield from self._experts.of(layer.experts, x, tokens, y, count)
        if exchange is None:
            return Sum(1, bias, layer.norm_down)
        yield exchange.gather(parts, size)
        return Sum(exchange.ranks, bias, layer.norm_down)

    def _attention(self, layer: Layer, x: Address, shape: StepShape) -> Iterator[Work]:
        """From what it reads to what its heads found."""
        s, at, tokens, bias = self._spec, self._at, shape.tokens, layer.qkv.bias
        parts, product = self._product(layer.qkv, x, tokens, at["parts"])
        yield product
        if s.qk_norm == "whole":
            yield self._kernel(pointwise.root_of_heads(self._heads, parts, bool(bias))).launch(
                (tokens, 2), at["parts"], bias, at["roots"], tokens, self._eps_of_heads
            )
        yield self._rotate(layer, parts, tokens)
        yield from self._attend(layer, shape)

    def _norm(self, norm: DeviceNorm, added: Sum, tokens: int, to: Address | None = None) -> Launch:
        """After a product. `to`: where the row goes that products read; 0: nowhere."""
        s, at, kind = self._spec, self._at, self._to if to != 0 else "nothing"
        how = added.parts, bool(added.bias), self._norms, kind
        return self._launch(
            pointwise.add_norm(self._precision, s.hidden, *how),
            (tokens,),
            **self._given(norm, added, tokens),
            y=at["normed"] if to is None else to,
        )

    def _given(self, norm: DeviceNorm, added: Sum, tokens: int) -> dict[str, float]:
        """What every norm of the residual stream is given."""
        s, at = self._spec, self._at
        return {
            "hidden": at["hidden"], "parts": at["parts"], "bias": added.bias,
            "weight": norm.weight, "tokens": tokens, "width": s.hidden, "eps": self._eps,
            "own": s.own_hidden, "shift": norm.shift, "after": added.norm.weight,
            "after_shift": added.norm.shift, "scale": s.residual_scale,
        }  # fmt: skip

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

    def _units(self, matrix: DeviceMatrix, x: Address, tokens: int) -> Iterator[Launch]:
        """Those of an MLP."""
        s, at = self._spec, self._at
        if not elementwise.is_apart(s):
            yield self._gated(matrix, x, tokens)
            return
        parts, product = self._product(matrix, x, tokens, at["parts"])
        yield product
        width = matrix.shape.features // (2 if s.gated else 1)
        yield self._kernel(elementwise.activate(s, self._precision, parts)).launch(
            (tokens, -(-width // elementwise.BLOCK)),
            *(at["parts"], matrix.bias, at["gated"], tokens, width),
        )

    def _gated(self, matrix: DeviceMatrix, x: Address, tokens: int) -> Launch:
        """silu(gate) * up, of a matrix that has the rows of gate and then those of up."""
        half = matrix.shape._replace(features=matrix.shape.features // 2)
        variant = products.choose(self._chip, f"gated_{matrix.format}", tokens, half)
        (tiles, _), at = products.grid(variant, tokens, half), self._at
        return self._kernel(variant).launch(
            (tiles,),
            *(x, *matrix.arrays, at["gated"], tokens, half.features, half.depth),
            *matrix.zero,
        )

    def _rotate(self, layer: Layer, parts: int, tokens: int) -> Launch:
        s, at, bias = self._spec, self._at, layer.qkv.bias
        heads = s.heads + 2 * s.kv_heads
        cos, sin = self._weights.rotations[layer.local]
        return self._launch(
            pointwise.rope_append(self._heads, parts, bool(bias), s.qk_norm),
            (tokens, -(-heads // pointwise.HEADS_AT_ONCE)),
            parts=at["parts"], bias=bias, positions=at["positions"], slots=at["slots"],
            cos=cos, sin=sin, q=at["queries"], pages=layer.pages, scales=layer.scales,
            tokens=tokens, norms=layer.norm_qk, roots=at["roots"], eps=self._eps_of_heads,
        )  # fmt: skip

    def _attend(self, layer: Layer, shape: StepShape) -> Iterator[Launch]:
        s, at = self._spec, self._at
        tiles = self._tiles[-1 if layer.local else 0]
        yield self._launch(
            next(one for one in tiles if one.most == shape.queries),
            (shape.items, s.kv_heads),
            q=at["queries"], pages=layer.pages, scales=layer.scales, tables=at["tables"],
            items=at["items"], out=at["attended"], partial=at["partial"], summary=at["summary"],
            learned=layer.sinks, scale=self._scale, softcap=s.softcap * LOG2_E,
            window=s.local.window if s.local and layer.local else s.recent,
            sinks=s.sinks, table_width=1,
        )  # fmt: skip
        if shape.combined:
            yield self._launch(
                attention.combine(self._heads),
                (shape.combined, s.heads),
                partial=at["partial"], summary=at["summary"], rows=at["combined"],
                out=at["attended"], learned=layer.sinks, tile=shape.queries,
            )  # fmt: skip

    def _head(self, added: Sum, shape: StepShape) -> Iterator[Work]:
        s, at, rows = self._spec, self._at, shape.rows
        how = added.parts, bool(added.bias), self._norms
        yield self._launch(
            pointwise.final_norm(self._precision, s.hidden, *how),
            (rows,),
            **self._given(self._weights.norm_f, added, shape.tokens),
            rows=at["rows"], y=at["top"], states=at["states"],
        )  # fmt: skip
        yield from self._logits(rows)
        if elementwise.has_cap(s):
            yield self._cap(rows)
        yield from self._draw(rows)

    def _cap(self, rows: int) -> Launch:
        s = self._spec
        return self._launch(
            elementwise.cap_logits(s.logit_softcap > 0),
            (rows, -(-s.padded_vocab // elementwise.BLOCK)),
            logits=self._at["logits"], scale=s.logit_scale, softcap=s.logit_softcap,
            stride=s.padded_vocab,
        )  # fmt: skip

    def _logits(self, rows: int) -> Iterator[Work]:
        """On every rank all of them."""
        at, head, exchange = self._at, self._weights.head, self._exchange
        if exchange is None:
            yield self._product(head, at["top"], rows, at["logits"], head.bias)[1]
            return
        shares, width = at["shares"], head.shape.features
        size = rows * width * F32
        yield self._product(head, at["top"], rows, exchange.own(shares, size), head.bias)[1]
        yield exchange.gather(shares, size)
        yield from exchange.spread(shares, width, rows, at["logits"], self._spec.padded_vocab)
