"""Ranks of one model as threads of this process: what they share is ordinary memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.memory import aligned_zeros
from raylax.kernels.model import Seat, StepOutput
from raylax.kernels.options import ModelOptions, silent
from tests.support.batches import Floats, Piece, batch_of


class Ranks:
    """All ranks of a model, each on a thread of its own: TVM's thread pool belongs to a thread."""

    def __init__(self, models: Sequence[CpuModel], threads: Sequence[ThreadPoolExecutor]) -> None:
        self.models, self.threads = models, threads

    def step(self, *pieces: Piece) -> Floats:
        """The logits at the end of every piece."""
        return self.output(*pieces).logits

    def output(self, *pieces: Piece) -> StepOutput:
        """Stage after stage, the shards of each at once; what the first one of the last has."""
        batch = batch_of(pieces)
        tokens = len(batch.tokens)
        shards = self.models[0].options.degree.tensor
        for first in range(0, len(self.models), shards):
            stage = range(first, first + shards)
            if first:
                for rank in stage:
                    before = self.models[rank - shards].hidden(tokens)
                    self.models[rank].hidden(tokens)[...] = before
            self._on_each(stage, lambda model: model.run_layers(batch))
        outputs = self._on_each(stage, lambda model: model.run_head(batch.rows))
        return StepOutput(*(values.copy() for values in outputs[0]))

    def _on_each(self, ranks: range, work: Any) -> list[Any]:
        begun = [self.threads[rank].submit(work, self.models[rank]) for rank in ranks]
        return [one.result(timeout=60) for one in begun]


@contextmanager
def ranks_of(
    checkpoint: Path, options: ModelOptions, pages: int, store: Path | None = None
) -> Iterator[Ranks]:
    """Loaded, and ready to step."""
    degree = options.degree
    program = Artefacts(checkpoint, options, store, silent).program
    memories = [aligned_zeros((program.shared_bytes,), "uint8") for _ in range(degree.pipeline)]
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(degree.ranks)]

        def load(rank: int) -> CpuModel:
            seat = Seat(rank, program.shared_in(memories[rank // degree.tensor]))
            return load_model(checkpoint, options, pages, store, seat=seat)

        begun = [thread.submit(load, rank) for rank, thread in enumerate(threads)]
        yield Ranks([one.result() for one in begun], threads)


def bits(values: Any) -> Any:
    """To be compared exactly, signs of zero included."""
    return np.ascontiguousarray(values).view(np.uint32)
