"""Runs steps on a device: short ones as graphs, which are captured when their shape first comes."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from raylax.kernels.cuda.device.memory import WITHIN, copy
from raylax.kernels.cuda.device.stream import Graph, Stream
from raylax.kernels.cuda.step.batch import write
from raylax.kernels.cuda.step.exchange import Work
from raylax.kernels.cuda.step.inputs import Ints, StepInputs
from raylax.kernels.cuda.step.program import StepProgram, StepShape
from raylax.kernels.cuda.step.results import StepResults
from raylax.kernels.cuda.step.work_list import Division
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.model import StepBatch

MOST_GRAPHS = 64
"""That are kept: of the shapes that came last."""


class StepRunner:
    """One model's steps on one stream."""

    def __init__(
        self,
        program: StepProgram,
        inputs: StepInputs,
        results: StepResults,
        division: Division,
        tiles: Sequence[Variant],
        stream: Stream,
        graphs: bool = True,
    ) -> None:
        """`graphs`: whether short steps are captured."""
        self._captures = graphs
        self._program, self._inputs, self.results = program, inputs, results
        self._division, self._tiles, self._stream = division, tiles, stream
        self._graphs = OrderedDict[StepShape, Graph]()

    def submit(self, batch: StepBatch) -> int:
        """Put a step on the stream; its number among the results. Raises DeviceError."""
        number = self.results.begin()
        shape, is_graph, used = write(batch, self._inputs.views(), self._division, self._tiles)
        self._inputs.send(used, self._stream)
        self._take_drawn(batch.tokens)
        if is_graph and self._captures:
            self._graph(shape).replay(self._stream)
        else:
            with self._stream.current():
                run_all(self._program.launches(shape))
        self.results.fetch(number, len(batch.rows), self._stream)
        return number

    def _take_drawn(self, tokens: Ints) -> None:
        """The tokens that the step before draws go where the ids lie, on the device."""
        for at, row, count in taken(tokens):
            to, source = self._inputs["ids"] + 4 * at, self.results.drawn + 4 * row
            copy(to, source, 4 * count, WITHIN, self._stream.address)

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


def taken(tokens: Ints) -> list[tuple[int, int, int]]:
    """Of tokens that rows of the step before draw, where they go, the first row, and how many
    follow one another. Mostly it is one piece: all go on."""
    at = np.flatnonzero(tokens < 0)
    if not len(at):
        return []
    rows = -1 - tokens[at]
    apart = (at[1:] != at[:-1] + 1) | (rows[1:] != rows[:-1] + 1)
    bounds = [0, *(np.flatnonzero(apart) + 1).tolist(), len(at)]
    return [(int(at[i]), int(rows[i]), j - i) for i, j in pairwise(bounds)]


def run_all(launches: Sequence[Work]) -> None:
    """Put launches on the current stream."""
    for launch in launches:
        launch()
