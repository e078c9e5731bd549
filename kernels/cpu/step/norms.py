"""The norms of a step: of the residual stream, and of queries and keys."""

import contextlib
from collections.abc import Iterator, Sequence

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.emitter import Emitter
from raylax.kernels.cpu.tir.emit import Expr, Register, fma, intrinsic, lanes, splat
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.shards import GROUP


class Norms(Emitter):
    """All of them. RMS norm: https://arxiv.org/abs/1910.07467; layer norm:
    https://arxiv.org/abs/1607.06450."""

    def normalise(
        self,
        weight: str | None,
        out: str,
        select: str | None = None,
        keep: str | None = None,
        name: str | None = None,
        source: str = "x",
    ) -> None:
        """Behind a norm, stored as the next product reads it, and in f32 in `keep`. Without a
        weight nothing is done to what is stored. `name`: the operator's, where it is not the
        weight's."""
        hidden = self.spec.hidden
        with self.queue.region(name or weight or out, self.tokens) as i:
            row = T.Bind(self.b[select][i]) if select else i
            with self.normed(source, row, weight) as (group, at, pair):
                self.store_group(out, hidden, i, group, pair)
                if keep:
                    for a, value in zip(at, pair, strict=True):
                        self.b[keep].store(value.get(), i, a)
            self.close_row(out, hidden, i)

    def keep_normed(self, weight: str, keep: str, out: str | None) -> None:
        """Behind a norm in f32, and, if it is wanted, as the next product reads it."""
        if out:
            self.normalise(weight, out, keep=keep, name="norm_2")
            return
        with (
            self.queue.region("norm_2", self.tokens) as row,
            self.normed("x", row, weight) as (_, at, pair),
        ):
            for a, value in zip(at, pair, strict=True):
                self.b[keep].store(value.get(), row, a)

    @contextlib.contextmanager
    def normed(
        self,
        source: str,
        row: Expr,
        weight: str | None,
        columns: int | None = None,
        eps: float | None = None,
    ) -> Iterator[tuple[Expr, list[Expr], list[Register]]]:
        """(number, where its halves lie, these) of every 32 numbers of a row behind its norm, in a
        `with` like a loop. Without a weight they are as they were. `columns`: of the row, else
        `hidden`; `eps`: the norm's, where it is not the model's."""
        mean, inverse = None, None
        if weight:
            mean = self._mean(source, row) if self.spec.norm == "layer" else None
            inverse = self._inverse(source, row, eps or self.spec.norm_eps, mean)
        with T.serial(0, (columns or self.spec.hidden) // GROUP) as group:
            at = [lanes(group * GROUP + half * 16) for half in range(2)]
            values = [self.b[source][row, a] for a in at]
            if mean:
                values = [value - splat(mean.get()) for value in values]
            if weight and inverse:
                values = [value * splat(inverse.get()) for value in values]
                values = [v * self.b[weight][a] for v, a in zip(values, at, strict=True)]
            if weight and self.spec.norm_bias:
                bias = self.b[f"{weight}_bias"]
                values = [v + bias[a] for v, a in zip(values, at, strict=True)]
            yield group, at, [Register(value) for value in values]

    def _mean(self, source: str, row: Expr) -> Register:
        """Of a row; what is padding is zero."""
        total = Register(constant(0))
        with T.serial(0, self.spec.hidden // 16) as j:
            total.set(total.get() + self.b[source][row, lanes(j * 16)])
        whole = intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), total.get())
        return Register(whole * T.float32(1 / self.spec.own_hidden), dtype="float32")

    def _inverse(self, source: str, row: Expr, eps: float, mean: Register | None) -> Register:
        """What a row is multiplied by: one by the root of its mean square, or of its variance."""
        total = Register(constant(0))
        with T.serial(0, self.spec.hidden // 16) as j:
            x = self.b[source][row, lanes(j * 16)]
            if mean:
                x = x - splat(mean.get())
                if self.spec.hidden_padding:
                    own = lanes(j * 16) < splat(T.int32(self.spec.own_hidden))
                    x = T.Select(own, x, constant(0))
                x = Register(x).get()
            total.set(fma(x, x, total.get()))
        return self._by_root(total, self.spec.own_hidden, eps)

    def _by_root(self, total: Register, count: int, eps: float) -> Register:
        """One by the root of the mean of so many squares, which were added up by lanes."""
        square = intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), total.get())
        mean = fma(
            square,
            T.float32(1 / count),
            T.float32(eps),
            "float32",
        )
        return Register(T.float32(1) / intrinsic("float32", "llvm.sqrt", mean), dtype="float32")

    def add_normed(self, weight: str) -> None:
        """x += what a block came to, in `y`, behind a norm."""
        with (
            self.queue.region(weight, self.tokens) as row,
            self.normed("y", row, weight) as (_, at, pair),
        ):
            for a, value in zip(at, pair, strict=True):
                self.add(row, a, value.get())

    def add(self, row: Expr, at: Expr, value: Expr) -> None:
        """Adds to the residual stream what a block came to."""
        if self.spec.residual_scale != 1:
            value = value * constant(self.spec.residual_scale)
        self.b["x"].store(self.b["x"][row, at] + value, row, at)

    def normalise_head(self, values: Sequence[Register], of_keys: Expr) -> None:
        """Of a query or a key: its dims behind their norm, in place."""
        total = Register(constant(0))
        for value in values:
            total.set(fma(value.get(), value.get(), total.get()))
        inverse = self._by_root(total, self.spec.own_head_dim, self.spec.norm_eps)
        first = T.Select(of_keys, self.spec.head_dim, 0)
        for j, value in enumerate(values):
            scaled = value.get() * splat(inverse.get())
            value.set(scaled * self.b["norm_qk"][lanes(first + j * 16)])

    def inverse_of_heads(self, source: str, row: Expr, heads: int) -> Register:
        """One by the root of the mean square of all heads of a row."""
        total, columns = Register(constant(0)), heads * self.spec.head_dim
        with T.serial(0, columns // 16) as j:
            x = self.b[source][row, lanes(j * 16)]
            total.set(fma(x, x, total.get()))
        return self._by_root(total, heads * self.spec.own_head_dim, self.spec.norm_eps)
