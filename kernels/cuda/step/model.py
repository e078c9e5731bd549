"""A model on a GPU: its weights and pages lie there, and a step is a graph of launches.

It has run on no GPU so far; tests run it on a driver that interprets the launches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.facts import load
from raylax.kernels.cuda.device.code import Kernel
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.device.upload import Upload
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.step.capacity import StepCapacity
from raylax.kernels.cuda.step.device_pages import DevicePages
from raylax.kernels.cuda.step.exchange import Exchange
from raylax.kernels.cuda.step.inputs import StepInputs
from raylax.kernels.cuda.step.program import Given, StepProgram
from raylax.kernels.cuda.step.results import DeviceRows, StepResults, rows_at
from raylax.kernels.cuda.step.runner import StepRunner
from raylax.kernels.cuda.step.values import DeviceValues
from raylax.kernels.cuda.step.weights.loading import Loader
from raylax.kernels.model import Floats, Ints, Seat, StepBatch, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.kernels.padding import unpadded


class DeviceModel:
    """A model on one device: whole, or the part of one of several ranks."""

    draws, tile_rows = True, 1
    mapped: Path | None = None
    loader: Callable[..., Loader] = Loader
    """What brings its weights."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: ModelOptions,
        form: DeviceForm,
        cubins: Path,
        pages: int,
        progress: ProgressCallback,
        seat: Seat | None = None,
    ) -> None:
        """`cubins`: the directory of its machine code, for this chip; `seat`: among the ranks that
        share the model, None for one alone. Raises KernelsError."""
        seat, spec, chip = seat or Seat(), form.spec, form.chip
        assert form.ranks == 1 or seat.group is not None, "ranks on GPUs meet by a group"
        self.spec, self.options, self.library = unpadded(spec), options, str(cubins)
        self._width = spec.hidden
        self.quantization, self.kv_dtype = form.quantization.name, form.kv_dtype
        self.pages, self.seat = pages, seat
        self.place = form.degree.place(spec, seat.rank)
        self.page_bytes = form.layout.page_bytes
        machine_code = load(cubins, form.variants(), chip)
        kernels = {name: Kernel(*cubin) for name, cubin in machine_code.items()}
        device, tiles = driver.index_of(options.device), form.tiles[0]
        narrowest = machine_code[tiles[0].name].facts  # decodes': of others there are enough
        self.places = driver.multiprocessors(device) * narrowest.at_once(chip)
        self._stream = Stream(device)
        self._pages = DevicePages(form.layout, pages, self._stream)
        upload = Upload(self._stream)
        loader = self.loader(checkpoint, form, self.place, upload, progress, options.threads)
        weights = loader.weights(options.max_sequence_length, self._pages.addresses)
        self._held = loader.held
        most = StepCapacity(form, options)
        self._values, inputs = DeviceValues(most.values), StepInputs(most.fields)
        exchange = None
        if seat.group is not None:
            exchange = Exchange.of(form, seat.rank, seat.group, self._stream.address)
        at, stream = {**self._values, **inputs}, self._stream.address
        program = self._program(loader, (form, kernels, weights, at, stream, exchange))
        results = StepResults(self._values, most.sizes.rows)
        division = most.division(self.places)
        parts = program, inputs, results, division, tiles, self._stream
        self._runner = StepRunner(*parts, options.graphs)
        self._stream.wait()

    def _program(self, loader: Loader, given: Given) -> StepProgram:
        """What makes its launches. `loader`: has brought its weights, and is forgotten."""
        return StepProgram(*given)

    def step(self, batch: StepBatch) -> StepOutput:
        """As `Model.step`: any mix of prefill chunks and decodes."""
        return self.submit(batch).output()

    def submit(self, batch: StepBatch) -> "DeviceStep":
        """As `SubmittingModel.submit`."""
        self._check_group()
        return DeviceStep(self, self._runner.submit(batch), len(batch.rows))

    def is_last(self, number: int) -> bool:
        """Whether no step was submitted after this one."""
        return self._runner.results.begun == number

    def is_done(self, number: int) -> bool:
        """Whether the device has come to the end of a step."""
        return self._runner.results.is_done(number)

    def output(self, number: int, rows: int) -> StepOutput:
        """What a step came to that was submitted, when it is done."""
        drawn, largest = self._runner.results.wait(number, rows)
        self._check_group()  # when it ends, what is on the device goes on without the others' parts
        s, stream, at = self.spec, self._stream.address, self._values
        logits = DeviceRows(at["logits"], rows, s.drawn, s.padded_drawn, stream)
        states = DeviceRows(at["states"], rows, s.hidden, self._width, stream)
        return StepOutput(cast(Floats, logits), drawn, cast(Floats, states), largest)

    def tapped(self, tokens: Ints) -> Floats:
        """As `TappedModel.tapped`."""
        own, taps = self.spec.hidden, len(self.options.taps)
        address, width = self._values["taps"], taps * self._width
        found = rows_at(address, tokens, width, self._stream.address)
        return found.reshape(-1, taps, self._width)[:, :, :own].reshape(len(tokens), taps * own)

    def _check_group(self) -> None:
        if self.seat.group is not None:
            self.seat.group.check()

    def read_page(self, page: int) -> bytes:
        """Keys and values of a page's tokens, of all layers, with their scales."""
        return self._pages.read(page)

    def write_page(self, page: int, content: bytes) -> None:
        """What `read_page` gave; ValueError if it is not of this size."""
        self._pages.write(page, content)

    def seconds_by_operator(self) -> dict[str, float]:
        """Nothing: a device's operators are not timed yet."""
        return {}

    def weights_and_copies(self) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Nothing: no other process can write to a device's memory."""
        return {}


@dataclass(frozen=True, slots=True)
class DeviceStep:
    """A step that was put on a model's stream."""

    model: DeviceModel
    number: int
    rows: int

    @property
    def is_last(self) -> bool:
        """As `PendingStep.is_last`."""
        return self.model.is_last(self.number)

    @property
    def is_done(self) -> bool:
        """As `PendingStep.is_done`."""
        return self.model.is_done(self.number)

    def output(self) -> StepOutput:
        """As `PendingStep.output`."""
        return self.model.output(self.number, self.rows)
