"""A layer's experts and their router on a device: of a rank the experts that are its own."""

from collections.abc import Iterator

import numpy as np

from raylax.kernels.cuda.device.memory import DeviceMemory
from raylax.kernels.cuda.formats.base import Packed
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.pieces import packed
from raylax.kernels.cuda.formats.shards import Part
from raylax.kernels.cuda.step.weights.places import DeviceExperts, DeviceMatrix
from raylax.kernels.cuda.step.weights.reader import Floats, Reader, zero_of
from raylax.kernels.cuda.variants.experts import router_rows
from raylax.kernels.cuda.variants.products import Matrix
from raylax.kernels.spec import Experts


class ExpertReader(Reader):
    """Brings them."""

    __slots__ = ()

    def _experts(self, layer: int) -> DeviceExperts | None:
        """None: the layer has an MLP alone. Raises CompileError, DeviceError."""
        experts, place = self.form.spec.experts, self.place
        if experts is None or layer in experts.dense:
            return None
        own = range(place.first_expert, place.end_expert)
        correction = 0
        if experts.corrected:
            correction = self._put(self._read("b_correction", layer))
        return DeviceExperts(
            self._router(layer, experts),
            correction,
            self._of_each("experts_up", layer, own),
            self._of_each("experts_down", layer, own),
            own.start,
            len(own),
        )

    def _router(self, layer: int, experts: Experts) -> DeviceMatrix:
        """In the precision of what it reads."""
        rows, plain = router_rows(experts), Dense(self.form.quantization.precision)
        matrix = self._read("w_router", layer)
        if experts.shared_gate:
            matrix = np.concatenate([matrix, self._read("w_shared_gate", layer)])
        bias = 0
        if experts.router_bias:
            bias = self._narrow(filled_up(self._read("b_router", layer), rows))
        ((_, array),) = plain.pack(filled_up(matrix, rows)).items()
        shape = Matrix(rows, self.form.spec.hidden)
        return DeviceMatrix(plain.name, shape, (self._put(array),), bias)

    def _of_each(self, name: str, layer: int, own: range) -> DeviceMatrix:
        """A matrix of these experts, and the biases, if there are any, one behind the other."""
        form, (rows, depth) = self.form.quantization.experts, self._table[f"w_{name}"].shape
        each = (self._packed(f"w_{name}", layer, expert) for expert in own)
        arrays = self._put_in_turn(each, len(own))
        bias = 0
        if f"b_{name}" in self._table:
            values = (self._read(f"b_{name}", layer, expert) for expert in own)
            bias = self._narrow(np.concatenate(list(values)))
        return DeviceMatrix(form.name, Matrix(rows, depth), arrays, bias, zero_of(form))

    def _packed(self, name: str, layer: int, expert: int) -> Packed:
        form = self.form.quantization.experts
        return packed(form, self._source(name, layer, form, expert), Part(), self.threads)

    def _put_in_turn(self, each: Iterator[Packed], count: int) -> tuple[int, ...]:
        """Of so many alike the first arrays behind each other, then the second ones: where they
        begin."""
        memory = list[DeviceMemory]()
        for number, made in enumerate(each):
            memory = memory or [DeviceMemory(count * one.nbytes) for one in made.values()]
            for place, array in zip(memory, made.values(), strict=True):
                self.upload.fill(place.address + number * array.nbytes, array)
        self.held += memory
        return tuple(one.address for one in memory)


def filled_up(values: Floats, rows: int) -> Floats:
    """With rows of zeros behind its own."""
    return np.pad(values, ((0, rows - len(values)), *[(0, 0)] * (values.ndim - 1)))
