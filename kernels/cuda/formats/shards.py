"""What of a packed matrix a rank keeps: the table of `kernels/shards.py`, as rows and columns."""

from dataclasses import dataclass

import numpy as np

from raylax.kernels.cuda.formats.base import Format, Packed
from raylax.kernels.shards import GROUP, PANEL, Degree, Place
from raylax.kernels.spec import DecoderSpec

Range = tuple[int, int]
"""(first, count)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Of a matrix [rows, inputs]."""

    rows: tuple[Range, ...] = ()
    """One after the other; none: all."""
    columns: Range | None = None
    others: tuple[Range, ...] = ()
    """Of the part's own inputs those that count as 0, for another rank has them as well."""


def part_of(name: str, spec: DecoderSpec, degree: Degree, place: Place) -> Part:
    """What a rank keeps of a matrix of the step, by its name; what is not cut, whole."""
    local, dim = degree.local(spec), spec.head_dim
    queries = place.first_head * dim, local.heads * dim
    first, count = place.first_group * GROUP, local.intermediate
    match name:
        case "w_qkv":
            own = local.kv_heads * dim
            keys = (spec.heads + place.first_kv_head) * dim
            values = keys + spec.kv_heads * dim
            return Part((queries, (keys, own), (values, own)))
        case "w_o":
            return Part(columns=queries)
        case "w_gate_up":
            return Part(((first, count), (spec.intermediate + first, count)))
        case "w_down":
            before = (place.own_group - place.first_group) * GROUP
            end = (place.end_group - place.first_group) * GROUP
            others = (0, before), (end, count - end)
            return Part(columns=(first, count), others=tuple(one for one in others if one[1]))
        case "w_head":
            return Part(((place.first_panel * PANEL, place.panels * PANEL),))
    return Part()


def take(form: Format, packed: Packed, part: Part) -> Packed:
    """A part of a packed matrix, whole in memory. Raises CompileError where its cut does not fall
    on blocks of the format."""
    if part.columns is not None:
        packed = form.columns(packed, *part.columns)
    if part.rows:
        packed = joined([form.rows(packed, *one) for one in part.rows])
    if part.others:
        packed = {name: array.copy() for name, array in packed.items()}
    for one in part.others:
        form.erase(packed, *one)
    return packed


def joined(parts: list[Packed]) -> Packed:
    """Rows one after the other: they are the first axis of weights, and the last of scales."""
    return {
        name: np.ascontiguousarray(
            np.concatenate([part[name] for part in parts], -1 if name == "scales" else 0)
        )
        for name in parts[0]
    }
