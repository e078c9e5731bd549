"""A step as a graph of TVM's operators, from any `DecoderSpec`, for any of TVM's targets.

The kernels are TVM's own: its schedules for products, norms and elementwise functions, its paged
attention. So the graph can be compiled for a CPU as well, where the tests compare what it computes.
Sums are f32; weights, keys, values and the inputs of products have the precision of the format.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tvm
from tvm import relax as rx
from tvm import te, tirx
from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor, op
from tvm.relax.frontend.nn.llm._page_kernels import _kv_cache_transpose_append
from tvm.relax.frontend.nn.llm._prefill_kernels import _attention_prefill, _attention_prefill_cpu

from raylax.kernels.families import weights_of
from raylax.kernels.families.weight_table import Weight
from raylax.kernels.options import PAGE_SIZE
from raylax.kernels.spec import DecoderSpec

F32 = "float32"


def parameter(weight: Weight, dtype: str) -> nn.Parameter:
    """The place of a weight: rows of outputs as checkpoints have them; vectors are f32 in every
    format."""
    return nn.Parameter(weight.shape, dtype if weight.is_matrix else F32)


class Layer(nn.Module):  # type: ignore[misc]
    """The weights of one layer, by the names that they have in the table."""

    b_qkv: Tensor | None = None
    b_o: Tensor | None = None

    def __init__(self, weights: Mapping[str, Weight], dtype: str) -> None:
        for name, weight in weights.items():
            if weight.layered:
                setattr(self, name, parameter(weight, dtype))


class Step(nn.Module):  # type: ignore[misc]
    """The whole model: one ragged function for prefill chunks and decodes."""

    def __init__(self, spec: DecoderSpec, dtype: str, target: Any) -> None:
        self.spec, self.dtype = spec, dtype
        weights = weights_of(spec)
        self.w_embed = parameter(weights["w_embed"], dtype)
        self.layers = nn.ModuleList([Layer(weights, dtype) for _ in range(spec.layers)])
        self.norm_f = parameter(weights["norm_f"], dtype)
        self.w_head = parameter(weights["w_head"], dtype) if "w_head" in weights else None
        heads, dim = spec.kv_heads, spec.head_dim
        self.append_pages = _kv_cache_transpose_append(heads, dim, dtype, PAGE_SIZE)
        self.attend_pages = paged_attention(spec, dtype, target)

    def step(
        self,
        ids: Tensor,
        positions: Tensor,
        slots: Tensor,
        query_starts: Tensor,
        page_starts: Tensor,
        page_ids: Tensor,
        last_page_tokens: Tensor,
        rows: Tensor,
        cos: Tensor,
        sin: Tensor,
        pages: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:
        """Logits and hidden states of `rows`, and the pages, which were written in place."""
        s, written = self.spec, []
        x = op.astype(rows_of(self.w_embed, ids), F32)
        for layer, page in zip(self.layers, pages, strict=True):
            qkv = with_bias(product(self.norm(x, layer.norm_1), layer.w_qkv), layer.b_qkv)
            queries = self.rotate(qkv, cos, sin, positions, 0, s.heads)
            keys = self.rotate(qkv, cos, sin, positions, s.heads, s.kv_heads)
            page = self.append(page, keys, self.values(qkv), slots)
            written.append(page)
            sequences = [query_starts, page, page_starts, page_ids, last_page_tokens]
            found = self.attend(queries, sequences, positions)
            x = x + with_bias(product(found, layer.w_o), layer.b_o)
            gate, up = op.split(product(self.norm(x, layer.norm_2), layer.w_gate_up), 2, axis=-1)
            x = x + product(op.astype(op.silu(gate) * up, self.dtype), layer.w_down)
        hidden = op.rms_norm(rows_of(x, rows), self.norm_f, axes=-1, epsilon=s.norm_eps)
        head = self.w_embed if self.w_head is None else self.w_head
        return product(op.astype(hidden, self.dtype), head), hidden, *written

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """RMS norm, in the precision of products."""
        normed = op.rms_norm(x, weight, axes=-1, epsilon=self.spec.norm_eps)
        return op.astype(normed, self.dtype)

    def rotate(
        self, qkv: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, first: int, count: int
    ) -> Tensor:
        """Rotary embedding of the two halves of `count` heads, from the first one."""
        dim, half = self.spec.head_dim, self.spec.head_dim // 2

        def compute(qkv: Any, cos: Any, sin: Any, positions: Any) -> Any:
            def one(t: Any, head: Any, d: Any) -> Any:
                low = qkv[t, (first + head) * dim + d % half]
                high = qkv[t, (first + head) * dim + d % half + half]
                c, s = cos[positions[t], d % half], sin[positions[t], d % half]
                turned = tirx.if_then_else(d < half, low * c - high * s, low * s + high * c)
                return turned.astype(self.dtype)

            return te.compute((qkv.shape[0], count, dim), one, "rotary")

        return op.tensor_expr_op(compute, "rotary", [qkv, cos, sin, positions])

    def values(self, qkv: Tensor) -> Tensor:
        """The values in `qkv`, [tokens, KV heads, dim]."""
        s = self.spec
        first = (s.heads + s.kv_heads) * s.head_dim

        def compute(qkv: Any) -> Any:
            one = lambda t, head, d: qkv[t, first + head * s.head_dim + d].astype(  # noqa: E731
                self.dtype
            )
            return te.compute((qkv.shape[0], s.kv_heads, s.head_dim), one, "values")

        return op.tensor_expr_op(compute, "values", [qkv])

    def append(self, page: Tensor, keys: Tensor, values: Tensor, slots: Tensor) -> Tensor:
        """The page with keys and values put into it: returned, for an update that nobody uses is
        dropped."""
        return op.tensor_ir_inplace_op(
            self.append_pages,
            "append",
            args=[page, keys, values, slots],
            inplace_indices=[0],
            out=Tensor.placeholder(list(page.shape), self.dtype),
        )

    def attend(self, queries: Tensor, sequences: list[Tensor], positions: Tensor) -> Tensor:
        """Each query to its sequence's keys up to its own position."""
        s, count = self.spec, queries.shape[0]
        unused = sequences[-1], positions  # for rotary embeddings, which keys have already
        found, _ = op.tensor_ir_op(
            self.attend_pages,
            "attend",
            args=[queries, *sequences, *unused],
            out=[
                Tensor.placeholder(list(queries.shape), self.dtype),
                Tensor.placeholder([count, s.heads], F32),
            ],
        )
        return op.reshape(found, (count, s.heads * s.head_dim))


def rows_of(matrix: Tensor, index: Tensor) -> Tensor:
    """The rows of a matrix by index; one beyond the last finds the last: nothing is read that is
    not there."""
    taken = rx.op.take(matrix._expr, index._expr, axis=0, mode="clip")
    return op.wrap_nested(taken, "rows")


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x @ weight^T, summed in f32."""
    return op.matmul(x, op.permute_dims(weight), out_dtype=F32)


def with_bias(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias


def paged_attention(s: DecoderSpec, dtype: str, target: Any) -> Any:
    """TVM's kernel, causal, without rotary embeddings of its own."""
    shape: tuple[Any, ...] = s.kv_heads, s.heads, s.head_dim, dtype, False, {}
    if target.kind.name == "llvm":
        kernel = _attention_prefill_cpu(*shape, PAGE_SIZE)
    else:
        kernel = _attention_prefill(*shape, target, PAGE_SIZE)
    causal, rotary = tirx.IntImm("int32", 1), tirx.IntImm("int32", 0)
    one, scale = tirx.FloatImm(F32, 1.0), tirx.FloatImm(F32, s.head_dim**-0.5)
    settings = dict(zip(kernel.params[10:], (causal, rotary, one, one, scale), strict=True))
    return kernel.specialize(settings).with_attr("tirx.noalias", True)


def inputs(s: DecoderSpec, dtype: str) -> dict[str, Any]:
    """The step's arguments but for the weights; sizes that vary have names."""
    ints: Callable[[str], Any] = lambda size: nn.spec.Tensor([size], "int32")  # noqa: E731
    table = nn.spec.Tensor(["positions_known", s.head_dim // 2], F32)
    page = nn.spec.Tensor(["page_count", 2, s.kv_heads, PAGE_SIZE, s.head_dim], dtype)
    return {
        "ids": ints("tokens"),
        "positions": ints("tokens"),
        "slots": ints("tokens"),
        "query_starts": ints("starts"),
        "page_starts": ints("starts"),
        "page_ids": ints("pages_used"),
        "last_page_tokens": ints("sequences"),
        "rows": ints("row_count"),
        "cos": table,
        "sin": table,
        "pages": (page,) * s.layers,
        "$": {"param_mode": "packed", "effect_mode": "none"},
    }


def build_graph(s: DecoderSpec, dtype: str, target: Any) -> tuple[tvm.IRModule, list[Any]]:
    """The module, and its weights' (name, parameter) in the order in which they are given."""
    with target:
        step = Step(s, dtype, target)
        spec = nn.spec.ModuleSpec.from_raw({"step": inputs(s, dtype)}, step)
        module, parameters, _ = step.export_tvm(spec=spec, allow_extern=True)
    return module, parameters
