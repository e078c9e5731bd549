"""A model on a GPU: its weights and pages lie there, and a step is a graph of launches.

It has run on no GPU so far; tests run it on a driver that interprets the launches.
"""

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.facts import load
from raylax.kernels.cuda.device.code import Kernel
from raylax.kernels.cuda.device.memory import DeviceMemory, read, write
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.device.upload import Upload
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.step.capacity import StepCapacity
from raylax.kernels.cuda.step.inputs import StepInputs
from raylax.kernels.cuda.step.loading import Loader
from raylax.kernels.cuda.step.program import StepProgram
from raylax.kernels.cuda.step.results import StepResults
from raylax.kernels.cuda.step.rows import DeviceRows
from raylax.kernels.cuda.step.runner import StepRunner
from raylax.kernels.cuda.step.values import DeviceValues
from raylax.kernels.cuda.variants.attention import attend
from raylax.kernels.model import Floats, Seat, StepBatch, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback


class DeviceModel:
    """A whole model on one device."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: ModelOptions,
        form: DeviceForm,
        cubins: Path,
        pages: int,
        progress: ProgressCallback,
    ) -> None:
        """`cubins`: the directory of its machine code, for this chip. Raises KernelsError."""
        spec, chip = form.spec, form.chip
        self.spec, self.options, self.library = spec, options, str(cubins)
        self.quantization, self.kv_dtype = form.quantization.name, form.kv_dtype
        self.pages, self.seat, self.place = pages, Seat(), options.degree.place(spec, 0)
        self._layout = form.layout
        self.page_bytes = self._layout.page_bytes
        machine_code = load(cubins, form.variants(), chip)
        kernels = {name: Kernel(*cubin) for name, cubin in machine_code.items()}
        self._stream = Stream(driver.index_of(options.device))
        self._kv = [self._layer_pages() for _ in range(spec.layers)]
        upload = Upload(self._stream)
        loader = Loader(checkpoint, form.quantization, chip.number, upload, progress)
        addresses = [(codes.address, scales.address) for codes, scales in self._kv]
        weights = loader.weights(options.max_sequence_length, addresses)
        self._held = loader.held
        most = StepCapacity(form, options)
        self._values, inputs = DeviceValues(most.values), StepInputs(most.fields)
        program = StepProgram(
            spec, form.heads, chip.number, kernels, weights, {**self._values, **inputs}
        )
        tiles = attend(form.heads, chip.number)
        results = StepResults(self._values, most.sizes.rows)
        self._runner = StepRunner(program, inputs, results, most.division, tiles, self._stream)
        self._stream.wait()

    def _layer_pages(self) -> tuple[DeviceMemory, DeviceMemory]:
        codes, scales = self._layout.layer_bytes
        return DeviceMemory(codes * self.pages), DeviceMemory(max(1, scales * self.pages))

    def step(self, batch: StepBatch) -> StepOutput:
        """As `Model.step`: any mix of prefill chunks and decodes."""
        drawn, largest = self._runner.run(batch)
        count, s = len(batch.rows), self.spec
        stream, at = self._stream.address, self._values
        logits = DeviceRows(at["logits"], count, s.vocab, s.padded_vocab, stream)
        states = DeviceRows(at["states"], count, s.hidden, s.hidden, stream)
        return StepOutput(cast(Floats, logits), drawn, cast(Floats, states), largest)

    def read_page(self, page: int) -> bytes:
        """Keys and values of a page's tokens, of all layers, with their scales."""
        return b"".join(
            read(memory.address + page * size, (size,), np.uint8, self._stream.address).tobytes()
            for memory, size in self._parts()
        )

    def write_page(self, page: int, content: bytes) -> None:
        """What `read_page` gave; ValueError if it is not of this size."""
        if len(content) != self.page_bytes:
            raise ValueError(
                f"a page of this model has {self.page_bytes} bytes, found {len(content)}"
            )
        at, whole = 0, np.frombuffer(content, np.uint8)
        for memory, size in self._parts():
            write(memory.address + page * size, whole[at : at + size], self._stream.address)
            at += size

    def _parts(self) -> list[tuple[DeviceMemory, int]]:
        """The memory of each layer's numbers and scales, and the bytes of a page in it."""
        sizes = self._layout.layer_bytes
        pairs = (pair for layer in self._kv for pair in zip(layer, sizes, strict=True))
        return [(memory, size) for memory, size in pairs if size]

    def seconds_by_operator(self) -> dict[str, float]:
        """Nothing: a device's operators are not timed yet."""
        return {}

    def weights_and_copies(self) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Nothing: no other process can write to a device's memory."""
        return {}
