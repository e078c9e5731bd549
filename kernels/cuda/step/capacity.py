"""The largest step of a model on a GPU, and what a model takes there: sizes of memory before any of
it is had."""

from dataclasses import dataclass
from math import prod

from raylax.kernels.cuda.device.memory import allocated
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.formats.base import size
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.formats.shards import head_width, part_of
from raylax.kernels.cuda.step.batch import bucket, fields_of, room
from raylax.kernels.cuda.step.draws import change_fields, rule_fields
from raylax.kernels.cuda.step.inputs import Field
from raylax.kernels.cuda.step.values import F32, HALF, StepSizes, total, value_sizes
from raylax.kernels.cuda.step.work_list import Division
from raylax.kernels.cuda.variants.attention import SPLIT
from raylax.kernels.cuda.variants.experts import router_rows
from raylax.kernels.cuda.variants.pointwise import Norms
from raylax.kernels.cuda.variants.products import most_apart
from raylax.kernels.families import weights_of
from raylax.kernels.families.weight import Weight
from raylax.kernels.options import ModelOptions

IN_F32 = ("norm_qk", "sinks", "b_correction")
"""Vectors of every model."""
SLOTS = 4
"""For splits that are computed apart, of each sequence."""
KEPT_BY_CUDA = 256 << 20
"""For machine code, graphs and what CUDA keeps beside a context. Not measured on a GPU yet: graphs
of 64 shapes of 400 launches are some 40 MiB, machine code is some 10."""
KEPT_BY_NCCL = 256 << 20
"""For buffers between each two GPUs, of several ranks. Not measured yet either."""


@dataclass(frozen=True, slots=True)
class StepCapacity:
    """The most that one step can hold, and how its attention is divided.

    Of a place's number, which the device decides, no size depends.
    """

    form: DeviceForm
    options: ModelOptions

    def division(self, places: int) -> Division:
        """How attention's work is divided among so many programs that run at once."""
        heads, s = self.form.heads, self.form.spec
        return Division(heads.group, heads.kv_heads, places, self.slots, s.sight, s.sinks)

    @property
    def slots(self) -> int:
        """For splits that are computed apart: those of the longest sequence, at least."""
        longest = -(-self.options.max_sequence_length // SPLIT)
        return max(longest, SLOTS * self.options.max_step_rows)

    @property
    def sizes(self) -> StepSizes:
        """Filled up to the sizes of graphs."""
        form, chip = self.form, self.form.chip.number
        tokens, rows = bucket(self.options.max_step_tokens), room(self.options.max_step_rows)
        narrow = most_apart(chip, f"linear_{form.quantization.layers.name}")
        widest = form.tiles[0][-1]
        return StepSizes(tokens, rows, self.slots, widest.most or 0, narrow)

    @property
    def values(self) -> dict[str, int]:
        """Bytes of each value between kernels."""
        ranks, taps = self.form.ranks, len(self.form.taps)
        return value_sizes(self.form.own, self.sizes, ranks if ranks > 1 else 0, taps)

    @property
    def fields(self) -> dict[str, Field]:
        """Of what a step is given."""
        o = self.options
        if self.form.spec.blocks is not None:
            return {**rule_fields(self.sizes.rows), **change_fields()}
        return fields_of(o.max_step_tokens, o.max_step_rows, self.slots, o.max_sequence_length)

    @property
    def bytes(self) -> int:
        """Of a device, beside weights and pages."""
        inputs = sum(field.size for field in self.fields.values())
        nccl = KEPT_BY_NCCL if self.form.ranks > 1 else 0
        return allocated(total(self.values)) + allocated(inputs) + KEPT_BY_CUDA + nccl


def weight_bytes(form: DeviceForm, positions: int) -> int:
    """Of a rank's weights on its device, tables of `positions` rotations among them. Every rank has
    as many, but for experts, of which it may have one less."""
    s, q, sizes = form.spec, form.quantization, []
    for weight in weights_of(s).values():
        times = weight.depth(s.layers) if weight.layered else 1
        sizes.append(times * allocated(bytes_of(weight, form)))
    if s.tied_embeddings and isinstance(q.head, Grouped):
        sizes.append(allocated(size(q.head, head_width(s, form.ranks), s.hidden)))
    if s.vocab != s.drawn:
        sizes.append(allocated(s.padded_drawn * F32))  # the places of tokens that a head names
    if s.blocks is None:
        kinds = 2 if s.local else 1  # of cosines and sines
        sizes += [allocated(positions * s.head_dim // 2 * F32)] * 2 * kinds
    return sum(sizes)


def bytes_of(weight: Weight, form: DeviceForm) -> int:
    """Of one of a rank's, in one layer: of all experts together that it has."""
    s, q, norms = form.spec, form.quantization, Norms.of(form.spec)
    rows, name = weight.shape[0], weight.name
    if name == "w_embed":
        return max(rows, s.padded_vocab) * s.hidden * HALF
    if name == "w_head":
        return size(q.head, head_width(s, form.ranks), s.hidden)
    own = -(-weight.experts // form.ranks) if weight.experts else 1
    if weight.is_matrix:
        part = part_of(name, s, form.degree, form.degree.place(s, 0))
        layers = q.experts if weight.experts else q.layers
        return own * size(layers, *part.shape(rows, weight.shape[1]))
    if name in ("w_router", "b_router") and s.experts:
        return router_rows(s.experts) * prod(weight.shape[1:]) * HALF
    wide = name in IN_F32 or (norms.wide and name.startswith("norm"))
    return own * prod(weight.shape) * (F32 if wide else HALF)
