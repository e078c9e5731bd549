"""Brings weights to a device one by one, packed as their formats say: of each a rank's part."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE, Checkpoint
from raylax.kernels.cpu.blocks import in_f32
from raylax.kernels.cuda.device.memory import DeviceMemory
from raylax.kernels.cuda.device.upload import Upload
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.formats.base import Format, Precision, narrowed
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.formats.pieces import Source, packed
from raylax.kernels.cuda.formats.shards import Part, part_of
from raylax.kernels.cuda.sizes import filled_share, filled_share_of_heads
from raylax.kernels.cuda.step.weights.places import NO_NORM, DeviceMatrix, DeviceNorm
from raylax.kernels.cuda.variants.pointwise import Norms
from raylax.kernels.cuda.variants.products import Matrix
from raylax.kernels.cuda.variants.segments import segments_of
from raylax.kernels.families import weights_of
from raylax.kernels.families.weight import Weight
from raylax.kernels.options import ProgressCallback
from raylax.kernels.shards import Place

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

FILED: dict[Precision, str] = {"f16": "float16", "bf16": "bfloat16"}
"""What precisions are called in files."""


@dataclass(slots=True)
class Reader:
    """Of one rank's weights. A `layer` is counted among all, whichever of them have a weight."""

    checkpoint: Checkpoint
    form: DeviceForm
    place: Place
    upload: Upload
    progress: ProgressCallback
    threads: int
    """That pack."""
    held: list[DeviceMemory] = field(default_factory=list)
    """What the weights lie in: as long as somebody has this."""
    _done: set[tuple[str, int]] = field(default_factory=set)
    _table: dict[str, Weight] = field(init=False)
    _norms: Norms = field(init=False)

    def __post_init__(self) -> None:
        self._table = weights_of(self.form.spec)
        self._norms = Norms.of(self.form.spec)

    def _source(self, name: str, layer: int, form: Format, expert: int = 0) -> Source:
        """A matrix in f32; what a format keeps as it lies in the file, so."""
        number = self._begun(name, layer, expert)
        weight, mapped = self._table[name], False
        tensor: Callable[[str, slice], Array] = partial(in_f32, self.checkpoint)
        assert weight.columns is not None
        if isinstance(form, Dense):
            dtype = FILED[form.precision]
            bits = (self.checkpoint.bits(one, dtype) for one, _ in weight.sources(number))
            if mapped := all(one is not None for one in bits):
                tensor = partial(self._stored, dtype)
        read = partial(weight.read, tensor, number)
        return Source((weight.shape[0], weight.columns), read, mapped)

    def _stored(self, dtype: str, name: str, rows: slice) -> Array:
        bits = self.checkpoint.bits(name, dtype)
        assert bits is not None
        return bits[rows]

    def _read(self, name: str, layer: int = 0, expert: int = 0) -> Floats:
        """A vector, or rows that are looked up."""
        number = self._begun(name, layer, expert)
        return self._table[name].read(self.checkpoint.tensor, number, WHOLE)

    def _begun(self, name: str, layer: int, expert: int = 0) -> int:
        """Which one it is of as many as there are of a weight."""
        weight = self._table[name]
        number = weight.depth(layer) * (weight.experts or 1) + expert if weight.layered else 0
        self._done.add((name, number))
        layers = self.checkpoint.spec.layers
        self.progress(
            "load", len(self._done) / sum(one.times(layers) for one in self._table.values())
        )
        return number

    def _part(self, name: str) -> Part:
        return part_of(name, self.form.spec, self.form.degree, self.place)

    def _bias(self, name: str, part: Part, layer: int = 0) -> int:
        """`part`: of the matrix that it belongs to."""
        if name not in self._table:
            return 0
        values = self._read(name, layer)
        if part.rows:
            values = np.concatenate([values[first : first + count] for first, count in part.rows])
        return self._narrow(values)

    def _matrix(
        self, source: Source, part: Part, form: Format, bias: int = 0, cut: bool = False
    ) -> DeviceMatrix:
        """`cut`: into segments, which its reader adds."""
        made = packed(form, source, part, self.threads)
        arrays = tuple(self._put(array) for array in made.values())
        rows, depth = part.shape(*source.shape)
        segments = segments_in(self.form, part, rows, depth) if cut else 1
        return DeviceMatrix(form.name, Matrix(rows, depth, segments), arrays, bias, zero_of(form))

    def _norm(self, name: str, layer: int = 0) -> DeviceNorm:
        """A norm, which takes the mean over the padding as well, unless it is a layer norm."""
        if name not in self._table:
            return NO_NORM
        share = 1.0 if self._norms.layer else filled_share(self.form.spec)
        weight = self._read(name, layer) * np.float32(sqrt(share))
        keep = self._put if self._norms.wide else self._narrow
        shift = f"{name}_bias"
        return DeviceNorm(
            keep(weight), keep(self._read(shift, layer)) if shift in self._table else 0
        )

    def _norm_qk(self, layer: int) -> int:
        """The weights of norms of queries and keys, whose padding counts as well; 0: there are
        none."""
        if "norm_qk" not in self._table:
            return 0
        share = filled_share_of_heads(self.form.spec)
        return self._put(self._read("norm_qk", layer) * np.float32(sqrt(share)))

    def _vector(self, name: str) -> int:
        """In the model's precision; 0: there is none."""
        return self._narrow(self._read(name)) if name in self._table else 0

    def _narrow(self, values: Floats) -> int:
        return self._put(narrowed(values, self.form.quantization.precision))

    def _put(self, array: Array) -> int:
        memory = self.upload.put(array)
        self.held.append(memory)
        return memory.address


def zero_of(form: Format) -> tuple[int, ...]:
    """As kernels of packed weights are given it; of others nothing."""
    return (form.zero,) if isinstance(form, Grouped) else ()


def segments_in(form: DeviceForm, part: Part, rows: int, depth: int) -> int:
    """Segments of a rank's part of a matrix: one where ranks share the sums. What it leaves must
    not depend on the batch, and the parts of a narrow tile's segments would be added with those of
    the other ranks, in another order than those that a wide tile has added already."""
    if form.ranks > 1 and part.columns is not None:
        return 1
    return segments_of(rows, depth, form.chip.number)
