"""Which experts each token has, and how much each of them counts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.tir.activations import LOG2_E, minus_magnitude
from raylax.kernels.cpu.tir.emit import Expr, Register, exp2, fma, intrinsic, lanes, splat
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.cpu.tir.largest import NEVER, first_largest


@dataclass
class Router:
    """The router of one layer: for each token what is in `n` chooses `experts_of` and `shares`."""

    e: Operators

    def __post_init__(self) -> None:
        assert self.e.spec.experts is not None
        self.experts, self.b, self.hidden = self.e.spec.experts, self.e.b, self.e.spec.hidden
        self.vectors = -(-self.experts.count // 16)

    def emit(self) -> None:
        """Both regions."""
        self._router()
        self._route()

    def _router(self) -> None:
        """Logits, of sixteen experts by a task."""
        e, count = self.e, self.experts.count
        with e.queue.region("router", e.tokens * self.vectors) as task:
            row, block = T.truncdiv(task, self.vectors), T.truncmod(task, self.vectors)
            with T.serial(0, T.min(16, count - block * 16)) as one:
                expert = T.Bind(block * 16 + one)
                logit = self._logit("w_router", expert, row)
                if self.experts.router_bias:
                    logit = logit + self.b["b_router"][expert]
                self.b["routed"].store(logit, row, expert)

    def _logit(self, matrix: str, of: Expr, row: Expr) -> Expr:
        """The product of a token and a row of a small matrix."""
        total = Register(constant(0))
        with T.serial(0, self.hidden // 16) as j:
            at = lanes(j * 16)
            total.set(fma(self.b["n"][row, at], self.b[matrix][of, at], total.get()))
        whole = intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), total.get())
        return Register(whole, "float32").get()

    def _route(self) -> None:
        """The likeliest experts of a token, the first of equal ones, and how much each counts."""
        e, b, experts = self.e, self.b, self.experts
        with e.queue.region("route", e.tokens) as row:
            if experts.shared_gate:
                gate = self._logit("w_shared_gate", T.int32(0), row)
                b["gates"].store(self._sigmoid_of_one(gate), row)
            with T.serial(0, self.vectors) as j:
                at = lanes(j * 16)
                b["routed"].store(
                    T.Select(self._there(at), b["routed"][row, at], constant(NEVER)), row, at
                )
            scored = self._scored(row)
            if experts.chosen_by_scores:
                self._score_all(row, scored)
            if experts.groups > 1:
                self._choose_groups(row)
            kept = Register(T.float32(0), "float32")
            with T.serial(0, experts.chosen) as k:
                largest, expert = first_largest(self.vectors, partial(self._routed, row))
                b["routed"].store(T.float32(NEVER), row, expert.get())
                if experts.chosen_by_scores:
                    share = Register(b["scores"][row, expert.get()], "float32")
                else:
                    score = Register(scored(splat(largest.get())))
                    share = Register(self._lane(score), "float32")
                b["experts_of"].store(expert.get(), row, k)
                b["shares"].store(share.get(), row, k)
                kept.set(kept.get() + share.get())
            if experts.normalised or experts.scale != 1:
                with T.serial(0, experts.chosen) as k:
                    share = b["shares"][row, k]
                    if experts.normalised:
                        share = share / kept.get()
                    if experts.scale != 1:
                        share = share * T.float32(experts.scale)
                    b["shares"].store(share, row, k)

    def _there(self, at: Expr) -> Expr:
        """Which lanes are experts."""
        return at < splat(T.int32(self.experts.count))

    def _routed(self, row: Expr, at: Expr) -> Expr:
        return self.b["routed"][row, at]

    def _scored(self, row: Expr) -> Callable[[Expr], Expr]:
        """What makes scores of a vector of a row's logits."""
        if self.experts.scores == "sigmoid":
            return sigmoid
        top, divisor = self._divisor(row)

        def share(logits: Expr) -> Expr:
            below = logits - splat(top.get())
            return exp2(below * constant(LOG2_E)) / splat(divisor.get())

        return share

    def _divisor(self, row: Expr) -> tuple[Register, Register]:
        """The largest logit of a row, and the sum of the powers of all, beside it."""
        best, total = Register(constant(NEVER)), Register(constant(0))
        with T.serial(0, self.vectors) as j:
            best.set(T.max(best.get(), self.b["routed"][row, lanes(j * 16)]))
        largest = intrinsic("float32", "llvm.vector.reduce.fmax", best.get())
        top = Register(largest, "float32")
        with T.serial(0, self.vectors) as j:
            logits = self.b["routed"][row, lanes(j * 16)]
            power = exp2((logits - splat(top.get())) * constant(LOG2_E))
            total.set(total.get() + power)
        whole = intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), total.get())
        return top, Register(whole, "float32")

    def _score_all(self, row: Expr, scored: Callable[[Expr], Expr]) -> None:
        """Keeps each expert's score in `scores`; it is chosen by what is in `routed` then."""
        b = self.b
        with T.serial(0, self.vectors) as j:
            at = lanes(j * 16)
            score = Register(scored(Register(b["routed"][row, at]).get()))
            b["scores"].store(score.get(), row, at)
            choice = score.get() + b["b_correction"][at] if self.experts.corrected else score.get()
            b["routed"].store(T.Select(self._there(at), choice, constant(NEVER)), row, at)

    def _choose_groups(self, row: Expr) -> None:
        """Leaves only the experts of the groups whose two best add up to most; in `groups` stands
        what each adds up to, and whether it is chosen."""
        groups, experts, b = self.b["groups"], self.experts, self.b
        size, vectors = experts.count // experts.groups, -(-experts.groups // 16)
        with T.serial(0, vectors) as j:
            groups.store(constant(NEVER), row, 0, lanes(j * 16))
            groups.store(constant(0), row, 1, lanes(j * 16))
        with T.serial(0, experts.groups) as group:
            best, second = (Register(T.float32(NEVER), "float32") for _ in range(2))
            with T.serial(0, size) as one:
                score = Register(b["routed"][row, group * size + one], "float32").get()
                second.set(T.max(second.get(), T.min(best.get(), score)))
                best.set(T.max(best.get(), score))
            groups.store(best.get() + second.get(), row, 0, group)
        with T.serial(0, experts.groups_chosen):
            _, group = first_largest(vectors, lambda at: groups[row, 0, at])
            groups.store(T.float32(NEVER), row, 0, group.get())
            groups.store(T.float32(1), row, 1, group.get())
        with (
            T.serial(0, experts.groups) as group,
            T.If(groups[row, 1, group] == 0),
            T.Then(),
            T.serial(0, size) as one,
        ):
            b["routed"].store(T.float32(NEVER), row, group * size + one)

    def _sigmoid_of_one(self, logit: Expr) -> Expr:
        return self._lane(Register(sigmoid(splat(logit))))

    def _lane(self, vector: Register) -> Expr:
        """One number of a vector that has the same in all lanes, for there is a power of vectors
        alone."""
        return intrinsic("float32", "llvm.vector.reduce.fmax", vector.get())


def sigmoid(x: Expr) -> Expr:
    """From 2**(-|x| log2 e), which cannot overflow. `x` is read several times."""
    e = Register(exp2(minus_magnitude(x) * constant(LOG2_E)))
    return T.Select(x < constant(0), e.get(), constant(1)) / (constant(1) + e.get())
