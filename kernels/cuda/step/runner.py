"""Runs steps on a device: short ones as graphs, which are captured when their shape first comes."""

from collections import OrderedDict
from collections.abc import Sequence

from raylax.kernels.cuda.device.stream import Graph, Stream
from raylax.kernels.cuda.step.batch import write
from raylax.kernels.cuda.step.exchange import Work
from raylax.kernels.cuda.step.inputs import Ints, StepInputs
from raylax.kernels.cuda.step.program import StepProgram, StepShape
from raylax.kernels.cuda.step.results import StepResults
from raylax.kernels.cuda.step.work_list import Division
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.model import Floats, StepBatch

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
    ) -> None:
        self._program, self._inputs, self._results = program, inputs, results
        self._division, self._tiles, self._stream = division, tiles, stream
        self._graphs = OrderedDict[StepShape, Graph]()

    def run(self, batch: StepBatch) -> tuple[Ints, Floats]:
        """Run a step; the token of each row, and its largest logit. Raises DeviceError."""
        shape, is_graph, used = write(batch, self._inputs.views(), self._division, self._tiles)
        self._inputs.send(used, self._stream)
        if is_graph:
            self._graph(shape).replay(self._stream)
        else:
            with self._stream.current():
                run_all(self._program.launches(shape))
        self._results.fetch(len(batch.rows), self._stream)
        return self._results.wait(len(batch.rows))

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


def run_all(launches: Sequence[Work]) -> None:
    """Put launches on the current stream."""
    for launch in launches:
        launch()
