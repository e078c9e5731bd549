"""Runs steps on a device: short ones as graphs, which are captured when their shape first comes."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from raylax.kernels.cuda.device.code import Launch
from raylax.kernels.cuda.device.memory import TO_HOST, PinnedMemory, copy
from raylax.kernels.cuda.device.stream import Event, Graph, Stream
from raylax.kernels.cuda.step.batch import LAST, Batch
from raylax.kernels.cuda.step.inputs import Ints, StepInputs
from raylax.kernels.cuda.step.program import StepProgram, StepShape
from raylax.kernels.cuda.step.work_list import Division
from raylax.kernels.cuda.variants.base import Variant

MOST_GRAPHS = 64
"""That are kept: of the shapes that came last."""


class StepRunner:
    """One model's steps on one stream."""

    def __init__(
        self,
        program: StepProgram,
        inputs: StepInputs,
        division: Division,
        tiles: Sequence[Variant],
        stream: Stream,
        rows: int,
    ) -> None:
        """`rows`: the most whose tokens are drawn in a step."""
        self._program, self._inputs, self._stream = program, inputs, stream
        self._division, self._tiles = division, tiles
        self._graphs = OrderedDict[StepShape, Graph]()
        self._drawn, self._is_drawn = PinnedMemory(4 * rows), Event()

    def run(self, batch: Batch, drawn: int) -> Ints:
        """Run a step; what lies at the address `drawn` for each of its rows. Raises DeviceError."""
        shape, is_graph, pages = batch.write(self._inputs.views(), self._division, self._tiles)
        self._inputs.send(LAST, pages, self._stream)
        if is_graph:
            self._graph(shape).replay(self._stream)
        else:
            with self._stream.current():
                run_all(self._program.launches(shape))
        rows = len(batch.rows)
        copy(self._drawn.address, drawn, 4 * max(1, rows), TO_HOST, self._stream.address)
        self._is_drawn.record(self._stream)
        self._is_drawn.wait()
        return self._drawn.array((rows,), np.int32).copy()

    def _graph(self, shape: StepShape) -> Graph:
        if (graph := self._graphs.get(shape)) is None:
            launches = self._program.launches(shape)
            with self._stream.current():
                run_all(launches)  # which loads their code, as a capture may not
            graph = self._graphs[shape] = self._stream.capture(lambda: run_all(launches))
            if len(self._graphs) > MOST_GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(shape)
        return graph


def run_all(launches: Sequence[Launch]) -> None:
    """Put launches on the current stream."""
    for launch in launches:
        launch()
