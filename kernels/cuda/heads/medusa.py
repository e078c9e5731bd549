"""Medusa's heads on a GPU (https://arxiv.org/abs/2401.10774): one at a time, as
`raylax.kernels.cpu.step.medusa` has it, and what each draws is drawn there.

They have no pages. Rows come from the host, as the worker keeps them for each sequence. They have
run on no GPU so far; tests run them on a driver that interprets the launches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.facts import load
from raylax.kernels.cuda.device.code import Kernel
from raylax.kernels.cuda.device.memory import write
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.device.upload import Upload
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.formats.shards import Part
from raylax.kernels.cuda.step.capacity import StepCapacity
from raylax.kernels.cuda.step.draws import CHANGES, LAST_OF_RULES, write_draws
from raylax.kernels.cuda.step.exchange import Work
from raylax.kernels.cuda.step.inputs import StepInputs
from raylax.kernels.cuda.step.launches import Launches
from raylax.kernels.cuda.step.results import DeviceRows, StepResults
from raylax.kernels.cuda.step.runner import run_all
from raylax.kernels.cuda.step.values import DeviceValues
from raylax.kernels.cuda.step.weights.loading import Loader
from raylax.kernels.cuda.step.weights.places import DeviceMatrix
from raylax.kernels.cuda.variants import heads
from raylax.kernels.draws.rules import StepDraws
from raylax.kernels.model import Floats, Seat, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback


@dataclass(frozen=True, slots=True)
class MedusaWeights:
    """Of one head."""

    blocks: Sequence[DeviceMatrix]
    head: DeviceMatrix


class MedusaLoader(Loader):
    """Brings heads' weights to their device."""

    __slots__ = ()

    def heads(self) -> list[MedusaWeights]:
        """All of them. Raises CompileError, DeviceError."""
        return [self._head(number) for number in range(self.form.spec.layers)]

    def _head(self, number: int) -> MedusaWeights:
        spec, q, blocks = self.form.spec, self.form.quantization, list[DeviceMatrix]()
        for block in range(spec.blocks or 0):
            part = Part(((block * spec.hidden, spec.hidden),))
            bias, source = self._bias("b_fc", part, number), self._source("w_fc", number, q.layers)
            blocks.append(self._matrix(source, part, q.layers, bias, cut=True))
        tokens = self._tokens("w_head", q.head, number)
        return MedusaWeights(blocks, self._matrix(tokens, Part(), q.head))


class MedusaProgram(Launches):
    """Makes the launches of a head."""

    def said(self, weights: MedusaWeights, rows: int) -> Iterator[Work]:
        """What one says of so many rows of `hidden`."""
        at, width = self._at, self._spec.hidden
        yield self._kernel(heads.take(self._precision, width)).launch(
            (rows,), at["hidden"], 0, 0, 0, at["normed"], rows, width, width, 0.0
        )
        for block in weights.blocks:
            parts, product = self._product(block, at["normed"], rows, at["parts"])
            yield product
            yield self._kernel(heads.residual(self._precision, width, parts)).launch(
                (rows,), at["hidden"], at["parts"], block.bias, at["normed"], rows, width
            )
        yield self._product(weights.head, at["normed"], rows, at["logits"])[1]
        yield from self._draw(rows)


class MedusaOnDevice:
    """Heads that run. Used by the thread that runs their base; a row has the same bits whatever
    shares its step (law 1)."""

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
        """As `DeviceModel`; they have no pages, and are one rank's. Raises KernelsError."""
        assert not pages and seat is None
        spec = checkpoint.spec
        self.heads, self.vocab, self.hidden = spec.layers, spec.vocab, spec.hidden
        self.draws, self.quantization = spec.vocab, form.quantization.name
        self._form, self._width, self._stride = form, form.spec.hidden, spec.padded_vocab
        kernels = {n: Kernel(*one) for n, one in load(cubins, form.variants(), form.chip).items()}
        self._stream = Stream(driver.index_of(options.device))
        upload = Upload(self._stream)
        place = form.degree.place(form.spec, 0)
        loader = MedusaLoader(checkpoint, form, place, upload, progress, options.threads)
        self._weights, self._held = loader.heads(), loader.held
        most = StepCapacity(form, options)
        self._values, self._inputs = DeviceValues(most.values), StepInputs(most.fields)
        self._program = MedusaProgram(form, kernels, {**self._values, **self._inputs})
        self._results = StepResults(self._values, most.sizes.rows)
        self._rows = np.empty((0, self.hidden), np.float32)
        self._stream.wait()

    def begin(self, hidden: Floats) -> None:
        """f32[rows, hidden], as `StepOutput` has it of the base: what all heads go on from."""
        self._rows = np.pad(hidden, ((0, 0), (0, self._width - self.hidden)))

    def step(self, head: int, rows: list[int], draws: StepDraws | None) -> StepOutput:
        """What a head says of some of those rows, which are drawn from by these rules: valid until
        the next step. Raises DeviceError."""
        count, number = len(rows), self._results.begin()
        write(self._values["hidden"], self._rows[rows], self._stream.address)
        changes = write_draws(draws, self._inputs.views(), count)
        used = dict.fromkeys(CHANGES, changes) if changes else {}
        self._inputs.send({LAST_OF_RULES: count, **used}, self._stream)
        with self._stream.current():
            run_all([*self._program.said(self._weights[head], count)])
        self._results.fetch(number, count, self._stream)
        drawn, largest = self._results.wait(number, count)
        at, stream = self._values["logits"], self._stream.address
        logits = DeviceRows(at, count, self.vocab, self._stride, stream)
        return StepOutput(cast(Floats, logits), drawn, self._rows[rows][:, : self.hidden], largest)
