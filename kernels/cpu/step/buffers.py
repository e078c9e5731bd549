"""What the functions of a step are given: every buffer by name, with its shape and its kind."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from raylax.kernels.cpu.formats import Quantization
from raylax.kernels.cpu.formats.base import RowFormat
from raylax.kernels.cpu.program import LINE, Buffer
from raylax.kernels.cpu.step.pages import Pages
from raylax.kernels.cpu.step.worklist import ROWS, Bounds, bounds
from raylax.kernels.cpu.tir.exchange import FLAGS
from raylax.kernels.families.weight import Weight
from raylax.kernels.families.weight_table import weights_in
from raylax.kernels.options import PAGE_SIZE
from raylax.kernels.padding import up
from raylax.kernels.shards import PANEL, Degree, Place
from raylax.kernels.spec import DecoderSpec, Experts, Fusion

FEATURES = ("take", "fc")
HEAD = ("norm_f", "head", "argmax")
"""Operators in the order in which they run."""

MEETS = {
    "a": "w_qkv", "o": "w_o", "m": "w_gate_up", "h": "w_down", "f": "w_head", "p": "w_fc",
    "em": "w_experts_up", "eh": "w_experts_down", "dm": "w_dense_up", "dh": "w_dense_down",
}  # fmt: skip
"""Activations as a product reads them, and the weights that it meets them with."""
PLACE = tuple(field.name for field in fields(Place))
TILE = 8  # rows of the largest tile: activation buffers are padded to it
F32, I32, I64 = "float32", "int32", "int64"


@dataclass(frozen=True)
class Capacity:
    """The most that one step can hold; buffers are made once, for this."""

    tokens: int
    rows: int
    """The most sequences in a step, and rows of logits."""
    sequence_length: int
    workers: int
    taps: int = 0
    """Residual streams that are kept; the compiled code asks whether there are any."""


def padded(count: int) -> int:
    """A count of rows up to whole tiles."""
    return -(-count // TILE) * TILE


def growing(kind: str, count: int, *rest: int, dtype: str = I32) -> Buffer:
    """A buffer of so many rows for the capacity, and of any number for the compiled code."""
    return Buffer((count, *rest), dtype, kind, free=(0,))


def weight_buffer(weight: Weight, spec: DecoderSpec, q: Quantization) -> Buffer:
    """A weight as it lies packed: matrices in whole panels, in a format; vectors in f32."""
    shape, dtype = weight.shape, "float32"
    if weight.is_matrix:
        rows, k = shape
        fmt = q.formats[weight.name]
        shape, dtype = fmt.weight_shape(-(-rows // PANEL) * PANEL, k), fmt.dtype
    if weight.layered:
        shape = (weight.experts, *shape) if weight.experts else shape
        return Buffer((weight.depth(spec.layers), *shape), dtype, "layer", free=(0,))
    return Buffer(shape, dtype, "weight", free=(0,) if weight.plain else ())


def inputs(local: DecoderSpec, c: Capacity) -> dict[str, Buffer]:
    """What a step is told: sizes, tokens, sequences, and the work list of attention."""
    work = work_list_bounds(local, c)
    table_width = -(-c.sequence_length // PAGE_SIZE)
    return {
        "sizes": Buffer((5,), I32, "input"),
        "place": Buffer((len(PLACE),), I32, "input"),
        "ids": growing("input", c.tokens),
        "positions": growing("input", c.tokens),
        "slots": growing("input", c.tokens),
        "query_starts": growing("input", c.rows + 1),
        "kv_lengths": growing("input", c.rows),
        "page_table": Buffer((c.rows, table_width), I32, "input", free=(0, 1)),
        "parts": growing("input", work.parts, 5),
        "splits": growing("input", work.splits, 4),
        "select": growing("input", c.rows),
    }


def tables(spec: DecoderSpec, c: Capacity) -> dict[str, Buffer]:
    """Rotary embedding; where there are local layers, of both kinds. `local`: for each layer
    whether it is one, and last the window of those. `dense`: for each layer whether it has no
    experts, and how many layers before it are as it is."""
    length, angles = c.sequence_length, spec.head_dim // 2
    dense = spec.experts is not None and spec.experts.dense
    kinds = {"dense": growing("input", spec.layers, 2)} if dense else {}
    if not spec.local:
        turning = {name: growing("table", length, angles, dtype=F32) for name in ("cos", "sin")}
        return turning | kinds
    both = Buffer((2, length, angles), F32, "table", free=(1,))
    return {"cos": both, "sin": both, "local": growing("input", spec.layers + 1), **kinds}


def work_list_bounds(local: DecoderSpec, c: Capacity) -> Bounds:
    group, kv_heads = local.queries_per_kv_head, local.kv_heads
    return bounds(c.tokens, c.rows, c.sequence_length, group, kv_heads, c.workers)


def activations(local: DecoderSpec, q: Quantization, c: Capacity) -> dict[str, Buffer]:
    """What the operators hand each other: in f32, and as the next product reads it."""
    hidden, attended = local.hidden, local.heads * local.head_dim

    def packed(name: str, tokens: int, k: int) -> Buffer:
        by = q.formats[MEETS[name]]
        return Buffer(*by.activation(padded(tokens), k), "work", free=(0,))

    slots = work_list_bounds(local, c).slots
    made = {
        "x": growing("work", padded(c.tokens), hidden, dtype=F32),
        "q": growing("work", c.tokens, attended, dtype=F32),
        "partials": growing("work", slots * ROWS, local.head_dim + 32, dtype=F32),
        "a": packed("a", c.tokens, local.qkv_columns),
        "o": packed("o", c.tokens, attended),
        "f": packed("f", c.rows, hidden),
        "normed": growing("work", c.rows, hidden, dtype=F32),
        "chosen": growing("work", c.rows),
    }
    if local.norm_after:
        made["y"] = growing("work", c.tokens, hidden, dtype=F32)
    if local.qk_norm == "whole":
        made["k"] = growing("work", c.tokens, local.kv_heads * local.head_dim, dtype=F32)
    if local.intermediate:
        made["m"] = packed("m", c.tokens, hidden)
        made["h"] = packed("h", c.tokens, local.intermediate)
    wide = [hidden, attended, local.intermediate, local.qkv_columns]
    if local.experts:
        made |= of_experts(local, local.experts, q, c)
        wide += [local.experts.intermediate, local.experts.dense_intermediate]
    if fusion := local.fusion:
        wide.append(joined_columns(local, fusion))
        made["p"] = packed("p", c.tokens, wide[-1])
        made["e"] = growing("work", c.tokens, hidden, dtype=F32)
        made["tapped"] = growing("input", c.tokens, fusion.tapped, dtype=F32)
    if any(isinstance(fmt, RowFormat) for fmt in q.formats.values()):
        widest = max(wide)
        rows = expert_rows(local.experts, c) if local.experts else 0
        made["wide"] = growing("work", max(c.tokens, c.rows, rows), widest, dtype=F32)
    return made


def expert_rows(experts: Experts, c: Capacity) -> int:
    """Rows that experts compute at most: each has whole tiles."""
    return padded(c.tokens * experts.chosen) + experts.count * TILE


def of_experts(
    local: DecoderSpec, experts: Experts, q: Quantization, c: Capacity
) -> dict[str, Buffer]:
    """What a step's tokens hand their experts, and these each other. `routed`: scores of all
    experts; `experts_of`, `shares`, `slots_of`: of those that a token has, which they are, how much
    each counts, and where its row is; `active`: those that have rows, with where their tiles begin
    and how many they are; `counts`: of these, and of all tiles, in each layer; `filled`: rows of
    each; `scores`, `groups`: where what is chosen is not the largest logits, see `Router`."""
    rows, chosen = expert_rows(experts, c), experts.chosen
    normed = {"n": growing("work", c.tokens, local.hidden, dtype=F32)}
    packed = {
        name: Buffer(*q.formats[MEETS[name]].activation(rows, k), "work", free=(0,))
        for name, k in (("em", local.hidden), ("eh", experts.intermediate))
    }
    more = dict[str, Buffer]()
    if experts.shared_gate:
        more["gates"] = growing("work", c.tokens, dtype=F32)
    if experts.chosen_by_scores:
        more["scores"] = growing("work", c.tokens, up(experts.count, 16), dtype=F32)
    if experts.groups > 1:
        more["groups"] = growing("work", c.tokens, 2, up(experts.groups, 16), dtype=F32)
    if experts.dense:
        for name, k in (("dm", local.hidden), ("dh", experts.dense_intermediate)):
            form = q.formats[MEETS[name]].activation(padded(c.tokens), k)
            more[name] = Buffer(*form, "work", free=(0,))
    return (
        normed
        | packed
        | more
        | {
            "routed": growing("work", c.tokens, up(experts.count, 16), dtype=F32),
            "experts_of": growing("work", c.tokens, chosen),
            "shares": growing("work", c.tokens, chosen, dtype=F32),
            "slots_of": growing("work", c.tokens, chosen),
            "active": Buffer((experts.count, 3), I32, "work"),
            "counts": growing("work", local.layers, 2),
            "filled": Buffer((experts.count,), I32, "work"),
            "ey": growing("work", rows, local.hidden, dtype=F32),
        }
    )


def joined_columns(spec: DecoderSpec, fusion: Fusion) -> int:
    """Numbers of a token that the matrix of a draft head takes."""
    return fusion.tapped if fusion.into == "attention" else 2 * spec.hidden


def taps(spec: DecoderSpec, c: Capacity) -> dict[str, Buffer]:
    """Residual streams that are kept, one behind the other in a token's row; and for each layer
    which of them its input is, for the last one's output too; -1: none."""
    return {
        "tap_at": growing("input", spec.layers + 1),
        "taps": Buffer((c.tokens, c.taps * spec.hidden), F32, "work", free=(0, 1)),
    }


def operators(function: str, spec: DecoderSpec, c: Capacity) -> tuple[str, ...]:
    """Of one of the functions, in the order in which they run."""
    match function:
        case "head":
            return HEAD
        case "features":
            return FEATURES
        case "heads":
            return medusas_operators(spec.blocks or 0)
    return tuple(layers_operators(spec, c))


def layers_operators(spec: DecoderSpec, c: Capacity) -> Iterator[str]:
    """Of all layers, and before the first one; not every step has them all."""
    yield "embed"
    if spec.fusion:
        yield from ("join", "fc")
    if c.taps:
        yield "tap"
    yield "norm_1"
    if spec.parallel:
        yield "norm_2"
    yield "qkv"
    if spec.qk_norm == "whole":
        yield "norm_qk"
    yield from ("attention", "merge", "round_o", "o", "add_o")
    if spec.norm_after:
        yield "norm_o"
    if not spec.parallel:
        yield "norm_2"
    if spec.experts:
        yield from (
            "router", "route", "sort", "scatter", "experts_up", "round_eh", "experts_down",
            "combine",
        )  # fmt: skip
    yield from ("gate_up", "round_h", "down", "add_down")
    if spec.norm_after:
        yield "norm_down"
    if c.taps:
        yield "last_tap"


def clocks(layers: int, operators: int, workers: int) -> dict[str, Buffer]:
    """What the work queue counts tasks in, and when its regions ended. `layers`: those of the whole
    model, for all stages run the same code."""
    regions = layers * operators
    return {
        "counters": Buffer((regions, LINE * (workers + 1)), I32, "work", free=(0, 1)),
        "ends": growing("work", regions + 1, dtype=I64),
        "head_ends": Buffer((len(HEAD) + 1,), I64, "work"),
    }


def meetings(shards: int, local: DecoderSpec, tokens: int) -> dict[str, Buffer]:
    """What several shards of a stage meet by, see `raylax.kernels.cpu.tir.exchange`. `mixed`: what
    a shard's experts came to, until the MLP beside them is added."""
    hidden = local.hidden
    mixed = {"mixed": growing("work", tokens, hidden, dtype=F32)}
    return {
        **(mixed if local.experts and local.intermediate else {}),
        "slices": Buffer((2, shards, tokens, hidden), F32, "shared", free=(2,)),
        "flags": Buffer((shards + 1, FLAGS), I64, "shared"),
        "clock": Buffer((1,), I64, "input"),
        "call": Buffer((1,), I64, "input"),
    }


def medusas_operators(blocks: int) -> tuple[str, ...]:
    """Of each of Medusa's heads, in the order in which they run."""
    names = [f"{name}_{block}" for block in range(blocks) for name in ("take", "fc")]
    return *names, "norm_f", "head", "argmax"


def medusas_buffers(spec: DecoderSpec, q: Quantization, c: Capacity) -> dict[str, Buffer]:
    """Every argument of Medusa's heads by name; `tapped` is what all of them go on from."""
    heads, hidden, rows = spec.layers, spec.hidden, padded(c.rows)
    regions = heads * len(medusas_operators(spec.blocks or 0))

    def packed(by: str) -> Buffer:
        return Buffer(*q.formats[by].activation(rows, hidden), "work", free=(0,))

    table = {
        **{one.name: weight_buffer(one, spec, q) for one in weights_in(spec)},
        "sizes": Buffer((2,), I32, "input"),
        "place": Buffer((len(PLACE),), I32, "input"),
        "tapped": growing("input", rows, hidden, dtype=F32),
        "x": growing("work", rows, hidden, dtype=F32),
        "p": packed("w_fc"),
        "f": packed("w_head"),
        "logits": Buffer((heads, c.rows, spec.padded_vocab), F32, "work", free=(0, 1)),
        "chosen": Buffer((heads, c.rows), I32, "work", free=(0, 1)),
        "counters": Buffer((regions, LINE * (c.workers + 1)), I32, "work", free=(0, 1)),
        "ends": growing("work", regions + 1, dtype=I64),
    }
    if any(isinstance(fmt, RowFormat) for fmt in q.formats.values()):
        table["wide"] = growing("work", rows, hidden, dtype=F32)
    return table


def buffers(
    spec: DecoderSpec, degree: Degree, q: Quantization, pages: Pages, c: Capacity
) -> dict[str, Buffer]:
    """Every argument of a rank by name. Weights are whole, see `raylax.kernels.shards`. `pages` has
    the only leading layer besides the layered weights; it has one page here, and as many as there
    are when it is made."""
    if spec.blocks is not None:
        return medusas_buffers(spec, q, c)
    local, shards = degree.local(spec), degree.tensor
    page = (local.layers, 1, 2, local.kv_heads, pages.words(spec.head_dim))
    return {
        **{one.name: weight_buffer(one, spec, q) for one in weights_in(spec)},
        **tables(spec, c),
        "pages": Buffer(page, pages.dtype, "state", free=(0, 1)),
        **inputs(local, c),
        **activations(local, q, c),
        "logits": growing(
            "work" if shards == 1 else "shared", c.rows, spec.padded_vocab, dtype=F32
        ),
        **(taps(spec, c) if c.taps else {}),
        **clocks(spec.layers, len(operators("layers", spec, c)), c.workers),
        **({"feature_ends": Buffer((len(FEATURES) + 1,), I64, "work")} if spec.fusion else {}),
        **(meetings(shards, local, c.tokens) if shards > 1 else {}),
    }
