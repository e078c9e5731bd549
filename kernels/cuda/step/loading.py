"""A checkpoint's weights on a device, packed as their formats say."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cuda.device.memory import DeviceMemory
from raylax.kernels.cuda.device.upload import Upload
from raylax.kernels.cuda.formats import Quantization
from raylax.kernels.cuda.formats.base import Format, narrowed
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.step.matrix import DeviceMatrix
from raylax.kernels.cuda.step.program import Layer, Weights
from raylax.kernels.cuda.variants.products import Matrix
from raylax.kernels.cuda.variants.segments import segments_of
from raylax.kernels.families import weights_of
from raylax.kernels.families.weight_table import Weight
from raylax.kernels.options import ProgressCallback
from raylax.kernels.rotary import rotary_tables

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class Loader:
    """Brings a model's weights to a device, one after the other."""

    checkpoint: Checkpoint
    quantization: Quantization
    chip: int
    upload: Upload
    progress: ProgressCallback
    held: list[DeviceMemory] = field(default_factory=list)
    """What the weights lie in: as long as somebody has this."""
    _done: int = 0
    _table: dict[str, Weight] = field(init=False)

    def __post_init__(self) -> None:
        self._table = weights_of(self.checkpoint.spec)

    def weights(self, positions: int, pages: list[tuple[int, int]]) -> Weights:
        """All of them. `positions`: how many are known; `pages`: where the keys and values of each
        layer lie, and their scales. Raises CompileError, DeviceError."""
        spec, q = self.checkpoint.spec, self.quantization
        cos, sin = rotary_tables(spec, positions)
        table = padded(self._read("w_embed"), spec.padded_vocab)
        embed = self._narrow(table)
        layers = [self._layer(number, *place) for number, place in enumerate(pages)]
        head = table
        if not spec.tied_embeddings:
            head = padded(self._read("w_head"), spec.padded_vocab)
        if spec.tied_embeddings and not isinstance(q.head, Grouped):
            whole = DeviceMatrix(q.head.name, Matrix(*head.shape), (embed,))
        else:
            whole = self._matrix(head, q.head, 1)
        norm = self._narrow(self._read("norm_f"))
        return Weights(embed, layers, norm, whole, self._put(cos), self._put(sin))

    def _layer(self, number: int, pages: int, scales: int) -> Layer:
        q = self.quantization.layers

        def summed(name: str) -> DeviceMatrix:
            """Of which the reader adds segments."""
            weight, bias = self._read(f"w_{name}", number), self._bias(f"b_{name}", number)
            return self._matrix(
                weight, q, segments_of(len(weight), weight.shape[1], self.chip), bias
            )

        return Layer(
            self._narrow(self._read("norm_1", number)),
            summed("qkv"),
            summed("o"),
            self._narrow(self._read("norm_2", number)),
            self._matrix(self._read("w_gate_up", number), q, 1),
            summed("down"),
            pages,
            scales,
        )

    def _read(self, name: str, layer: int = 0) -> Floats:
        values = self._table[name].read(self.checkpoint.tensor, layer)
        self._done += 1
        times = (self.checkpoint.spec.layers if one.layered else 1 for one in self._table.values())
        self.progress("load", self._done / sum(times))
        return values

    def _bias(self, name: str, layer: int) -> int:
        if name not in self._table:
            return 0
        return self._narrow(self._read(name, layer))

    def _matrix(self, weight: Floats, form: Format, segments: int, bias: int = 0) -> DeviceMatrix:
        arrays = tuple(self._put(array) for array in form.pack(weight).values())
        zero = (form.zero,) if isinstance(form, Grouped) else ()
        rows, depth = weight.shape
        return DeviceMatrix(form.name, Matrix(rows, depth, segments), arrays, bias, zero)

    def _narrow(self, values: Floats) -> int:
        return self._put(narrowed(values, self.quantization.precision))

    def _put(self, array: Array) -> int:
        memory = self.upload.put(array)
        self.held.append(memory)
        return memory.address


def padded(matrix: Floats, rows: int) -> Floats:
    """With rows of zeros below, of tokens that there are not: a product has whole tiles of rows."""
    more = rows - len(matrix)
    return np.pad(matrix, ((0, more), (0, 0))) if more else matrix
