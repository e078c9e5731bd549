"""A checkpoint's weights on a device, packed as their formats say: of each a rank's part."""

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
from raylax.kernels.cuda.step.weights import NO_NORM, DeviceMatrix, DeviceNorm, Layer, Weights
from raylax.kernels.cuda.variants.elementwise import is_apart
from raylax.kernels.cuda.variants.pointwise import Norms
from raylax.kernels.cuda.variants.products import Matrix
from raylax.kernels.cuda.variants.segments import segments_of
from raylax.kernels.families import weights_of
from raylax.kernels.families.weight import Weight
from raylax.kernels.options import ProgressCallback
from raylax.kernels.rotary import rotary_tables
from raylax.kernels.shards import Place

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
HALF = 2
"""Bytes of a number in the model's precision."""


FILED: dict[Precision, str] = {"f16": "float16", "bf16": "bfloat16"}
"""What precisions are called in files."""


@dataclass(slots=True)
class Loader:
    """Brings a rank's weights to its device, one after the other."""

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

    def weights(self, positions: int, pages: list[tuple[int, int]]) -> Weights:
        """All of them. `positions`: how many are known; `pages`: where the keys and values of each
        layer lie, and their scales. Raises CompileError, DeviceError."""
        spec, q = self.form.spec, self.form.quantization
        plain = Dense(q.precision)
        embed = self._matrix(self._tokens("w_embed", plain), Part(), plain).arrays[0]
        part = self._part("w_head")
        layers = [self._layer(number, *place) for number, place in enumerate(pages)]
        if spec.tied_embeddings and isinstance(q.head, Dense):
            ((first, rows),) = part.rows
            at = embed + first * spec.hidden * HALF
            bias = self._bias("b_head", part)
            own = DeviceMatrix(q.head.name, Matrix(rows, spec.hidden), (at,), bias)
        else:
            name = "w_embed" if spec.tied_embeddings else "w_head"
            own = self._matrix(self._tokens(name, q.head), part, q.head, self._bias("b_head", part))
        norm, turned = self._norm("norm_f"), self._rotations(positions)
        return Weights(embed, layers, norm, own, turned, self._vector("w_position"))

    def _rotations(self, positions: int) -> list[tuple[int, int]]:
        """Cosines and sines of each kind of layer that there is."""
        spec = self.form.spec
        both = rotary_tables(spec, positions)
        kinds = zip(*both, strict=True) if spec.local else [both]
        return [(self._put(cos), self._put(sin)) for cos, sin in kinds]

    def _layer(self, number: int, pages: int, scales: int) -> Layer:
        q = self.form.quantization.layers

        def summed(name: str) -> DeviceMatrix:
            """Of which the reader adds segments, or the parts of ranks."""
            source, part = self._source(f"w_{name}", number, q), self._part(f"w_{name}")
            return self._matrix(source, part, q, self._bias(f"b_{name}", part, number), cut=True)

        def entered() -> DeviceMatrix:
            """The MLP's first, or its first two in one."""
            if is_apart(self.form.spec):
                return summed("gate_up")
            return self._matrix(self._source("w_gate_up", number, q), self._part("w_gate_up"), q)

        local = self.form.spec.local
        return Layer(
            self._norm("norm_1", number),
            summed("qkv"),
            summed("o"),
            self._norm("norm_2", number),
            entered(),
            summed("down"),
            pages,
            scales,
            self._norm_qk(number),
            self._norm("norm_o", number),
            self._norm("norm_down", number),
            local is not None and number in local.layers,
        )

    def _tokens(self, name: str, form: Format, layer: int = 0) -> Source:
        """A matrix with a row for each token, and rows of zeros, of tokens that there are not: a
        product has whole tiles of rows."""
        source = self._source(name, layer, form)
        there, columns = source.shape
        rows = max(there, self.form.spec.padded_vocab)

        def read(own: slice) -> Array:
            end = min(own.stop, there)
            if end <= own.start:
                return np.zeros((own.stop - own.start, columns), np.float32)
            given = source.read(slice(own.start, end))
            return np.pad(given, ((0, own.stop - end), (0, 0))) if own.stop > end else given

        return Source((rows, columns), read, source.mapped)

    def _source(self, name: str, layer: int, form: Format) -> Source:
        """A matrix in f32; what a format keeps as it lies in the file, so."""
        self._begun(name, layer)
        weight, mapped = self._table[name], False
        tensor: Callable[[str, slice], Array] = partial(in_f32, self.checkpoint)
        assert weight.columns is not None
        if isinstance(form, Dense):
            dtype = FILED[form.precision]
            bits = (self.checkpoint.bits(one, dtype) for one, _ in weight.sources(layer))
            if mapped := all(one is not None for one in bits):
                tensor = partial(self._stored, dtype)
        read = partial(weight.read, tensor, layer)
        return Source((weight.shape[0], weight.columns), read, mapped)

    def _stored(self, dtype: str, name: str, rows: slice) -> Array:
        bits = self.checkpoint.bits(name, dtype)
        assert bits is not None
        return bits[rows]

    def _read(self, name: str, layer: int = 0) -> Floats:
        """A vector, or rows that are looked up."""
        self._begun(name, layer)
        return self._table[name].read(self.checkpoint.tensor, layer, WHOLE)

    def _begun(self, name: str, layer: int) -> None:
        self._done.add((name, layer))
        times = (self.checkpoint.spec.layers if one.layered else 1 for one in self._table.values())
        self.progress("load", len(self._done) / sum(times))

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
        zero = (form.zero,) if isinstance(form, Grouped) else ()
        rows, depth = part.shape(*source.shape)
        segments = segments_in(self.form, part, rows, depth) if cut else 1
        return DeviceMatrix(form.name, Matrix(rows, depth, segments), arrays, bias, zero)

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


def segments_in(form: DeviceForm, part: Part, rows: int, depth: int) -> int:
    """Segments of a rank's part of a matrix: one where ranks share the sums. What it leaves must
    not depend on the batch, and the parts of a narrow tile's segments would be added with those of
    the other ranks, in another order than those that a wide tile has added already."""
    if form.ranks > 1 and part.columns is not None:
        return 1
    return segments_of(rows, depth, form.chip.number)
