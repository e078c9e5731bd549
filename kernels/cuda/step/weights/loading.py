"""A checkpoint's weights on a device: those of a whole decoder, layer by layer."""

import numpy as np

from raylax.kernels.cuda.formats.base import Format
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.pieces import Source
from raylax.kernels.cuda.formats.shards import Part
from raylax.kernels.cuda.step.weights.experts import ExpertReader
from raylax.kernels.cuda.step.weights.places import DeviceMatrix, DeviceMlp, Layer, Weights
from raylax.kernels.cuda.step.weights.reader import Array
from raylax.kernels.cuda.variants.elementwise import is_apart
from raylax.kernels.cuda.variants.products import Matrix
from raylax.kernels.rotary import rotary_tables

HALF = 2
"""Bytes of a number in the model's precision."""
LOG2_E = np.float32(1.4426950408889634)


class Loader(ExpertReader):
    """Brings all of a rank's."""

    __slots__ = ()

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
        local = self.form.spec.local
        return Layer(
            self._norm("norm_1", number),
            self._summed("qkv", number),
            self._summed("o", number),
            self._norm("norm_2", number),
            self._mlp(number),
            self._experts(number),
            pages,
            scales,
            self._norm_qk(number),
            self._sinks(number),
            self._norm("norm_o", number),
            self._norm("norm_down", number),
            local is not None and number in local.layers,
        )

    def _summed(self, name: str, layer: int) -> DeviceMatrix:
        """Of which the reader adds segments, or the parts of ranks."""
        form, part = self.form.quantization.layers, self._part(f"w_{name}")
        source, bias = self._source(f"w_{name}", layer, form), self._bias(f"b_{name}", part, layer)
        return self._matrix(source, part, form, bias, cut=True)

    def _mlp(self, layer: int) -> DeviceMlp | None:
        """That which all layers have, or the one of a layer that others have experts for."""
        spec, form = self.form.spec, self.form.quantization.layers
        dense = spec.experts is not None and layer in spec.experts.dense
        if not (dense or spec.intermediate):
            return None
        into, out = ("dense_up", "dense_down") if dense else ("gate_up", "down")
        if is_apart(spec):
            first = self._summed(into, layer)
        else:
            name = f"w_{into}"
            first = self._matrix(self._source(name, layer, form), self._part(name), form)
        return DeviceMlp(first, self._summed(out, layer))

    def _sinks(self, layer: int) -> int:
        """Of this rank's heads, as powers of two."""
        if "sinks" not in self._table:
            return 0
        first = self.place.first_head
        own = slice(first, first + self.form.own.heads)
        return self._put(self._read("sinks", layer)[own] * LOG2_E)

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
