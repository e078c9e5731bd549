"""What of a matrix a rank keeps: the table of `kernels/shards.py`, as rows and columns.

One thing differs: of the head all ranks have as many rows, in windows that overlap where the panels
do not divide evenly, since NCCL gathers parts of one size.
"""

from dataclasses import dataclass

import numpy as np

from raylax.kernels.cuda.formats.base import Floats, Format, Packed, check_start
from raylax.kernels.errors import CompileError
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

    def shape(self, rows: int, depth: int) -> tuple[int, int]:
        """Rows and inputs of the part, of a matrix that has these."""
        own = sum(count for _, count in self.rows) if self.rows else rows
        return own, self.columns[1] if self.columns is not None else depth


def part_of(name: str, spec: DecoderSpec, degree: Degree, place: Place) -> Part:
    """What a rank keeps of a matrix of the step, by its name; what is not cut, whole."""
    local, dim = degree.local(spec), spec.head_dim
    queries = place.first_head * dim, local.heads * dim
    match name:
        case "w_qkv":
            own = local.kv_heads * dim
            keys = (spec.heads + place.first_kv_head) * dim
            values = keys + spec.kv_heads * dim
            return Part((queries, (keys, own), (values, own)))
        case "w_o":
            return Part(columns=queries)
        case "w_gate_up" | "w_dense_up":
            units, (first, count), _ = mlp_of(name, spec, degree, place)
            both = (first, count), (units + first, count)
            return Part(both if spec.gated else both[:1])
        case "w_down" | "w_dense_down":
            _, own_units, others = mlp_of(name, spec, degree, place)
            return Part(columns=own_units, others=tuple(one for one in others if one[1]))
        case "w_head":
            return Part((head_rows(spec, degree, place),))
    return Part()


def mlp_of(
    name: str, spec: DecoderSpec, degree: Degree, place: Place
) -> tuple[int, Range, tuple[Range, Range]]:
    """Units of the MLP that a matrix belongs to, a rank's window of them, and which of these count
    as somebody else's."""
    local, experts = degree.local(spec), spec.experts
    units, count = spec.intermediate, local.intermediate
    first, own, end = place.first_group, place.own_group, place.end_group
    if name.startswith("w_dense") and experts is not None and local.experts is not None:
        units, count = experts.dense_intermediate, local.experts.dense_intermediate
        first, own = place.first_dense_group, place.own_dense_group
        end = place.end_dense_group
    before, behind = (own - first) * GROUP, (end - first) * GROUP
    return units, (first * GROUP, count), ((0, before), (behind, count - behind))


def head_rows(spec: DecoderSpec, degree: Degree, place: Place) -> Range:
    """The rows of the head, so the columns of the logits, that a rank computes."""
    width = head_width(spec, degree.tensor)
    return min(place.first_panel * PANEL, spec.padded_vocab - width), width


def head_width(spec: DecoderSpec, ranks: int) -> int:
    """How many rows of the head each rank computes."""
    return -(-(spec.padded_vocab // PANEL) // ranks) * PANEL


def packed_part(form: Format, weight: Floats, part: Part, threads: int = 1) -> Packed:
    """A part of a matrix, packed as if the whole were. Raises CompileError where its cut does not
    fall on blocks of the format."""
    own = weight
    if part.rows:
        own = np.concatenate([own[first : first + count] for first, count in part.rows])
    if part.columns is not None:
        first, count = part.columns
        check_start(form, first)
        own = own[:, first : first + count]
    packed = form.pack(own, threads)
    for one in part.others:
        form.erase(packed, *one)
    return packed


def check_cuts(form: Format, spec: DecoderSpec, degree: Degree) -> None:
    """Raises CompileError for a model that cannot be shared among so many ranks in this format,
    before any weight is read."""
    degree.check(spec)
    for rank in range(degree.tensor) if degree.tensor > 1 else ():
        for name in ("w_o", "w_down", "w_dense_down"):
            part = part_of(name, spec, degree, degree.place(spec, rank))
            if part.columns is not None:
                check_start(form, part.columns[0])
                check_groups(form, part, degree)


def check_groups(form: Format, part: Part, degree: Degree) -> None:
    """Raises CompileError where a rank's inputs are no whole groups."""
    assert part.columns is not None
    cuts = [part.columns[1], *(at for first, count in part.others for at in (first, first + count))]
    for cut in cuts:
        if cut % form.group:
            raise CompileError(
                f"ranks share the inputs of {form.name} weights in groups of {form.group}, and "
                f"{degree.tensor} tensor_parallel_shards cut one after {cut}; take fewer shards, "
                "or another quantization"
            )
