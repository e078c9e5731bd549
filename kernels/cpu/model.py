"""A model on a CPU: compiled step, mapped weights, pages.

A step's inputs live in buffers made once; running one writes into them and calls two functions.
"""

from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.program import (
    ALL_KEYS,
    BEHIND_MEETINGS,
    MEETINGS,
    Buffer,
    Program,
    seconds_by_operator,
    seconds_of,
)
from raylax.kernels.cpu.sizes import cpu_sizes
from raylax.kernels.cpu.step.worklist import work_list
from raylax.kernels.cpu.weights import map_weights
from raylax.kernels.memory import aligned_copy, aligned_zeros, is_aligned
from raylax.kernels.model import Ints, Seat, StepBatch, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback, silent
from raylax.kernels.rotary import rotary_tables
from raylax.kernels.runtime import as_tensor
from raylax.kernels.spec import DecoderSpec


def load_model(
    checkpoint: Path,
    options: ModelOptions,
    pages: int,
    store: Path | None = None,
    progress: ProgressCallback = silent,
    seat: Seat | None = None,
) -> "CpuModel":
    """A model that is ready to run: found or compiled, mapped or packed.

    `seat`: where one of several ranks sits; None: the whole model. Raises CheckpointError,
    CompileError.
    """
    artefacts = Artefacts(checkpoint, options, store, progress)
    program = artefacts.program.with_pages(pages)
    functions, place = artefacts.functions()
    packed = artefacts.weights()
    progress("load", 1.0)
    return CpuModel(artefacts.spec, options, program, functions, place, packed, seat)


class CpuModel:
    """One rank of a model, or all of it: weights and pages behind one `step`, which stages run in
    halves. Used by one thread: TVM's thread pool belongs to it."""

    draws = False

    def __init__(
        self,
        spec: DecoderSpec,
        options: ModelOptions,
        program: Program,
        functions: Any,
        library: str,
        packed: Path,
        seat: Seat | None = None,
    ) -> None:
        self.spec, self.options, self.library = spec, options, library
        self.mapped: Path | None = packed
        self.quantization, self.kv_dtype = program.quantization, program.kv_dtype
        self.pages = program.table["pages"].shape[1]
        self.seat = seat or Seat()
        self.place = options.degree.place(spec, self.seat.rank)
        self._local = options.degree.local(spec)
        cos, sin = rotary_tables(cpu_sizes(spec), program.sequence_length)
        self._stored = partial(map_weights, packed, program.table)
        given = {**self._stored(), "cos": cos, "sin": sin, **self.seat.shared}
        self._arrays = {
            name: given[name] if name in given else aligned_zeros(buffer.shape, buffer.dtype)
            for name, buffer in program.table.items()
        }
        check_arrays(self._arrays, program.table)
        self.page_bytes = self._arrays["pages"][:, 0].nbytes
        self._arrays["place"][:] = astuple(self.place)
        self._arrays["sizes"][3:] = spec.window, spec.sinks
        if spec.local:
            self._arrays["local"][list(spec.local.layers)] = 1
            own = spec.local.window
            self._arrays["local"][-1] = own + spec.sinks if own else ALL_KEYS
        if spec.experts and spec.experts.dense:
            for dense, layers in enumerate((spec.experts.sparse(spec.layers), spec.experts.dense)):
                self._arrays["dense"][list(layers)] = [(dense, n) for n in range(len(layers))]
        if options.taps:
            self._arrays["tap_at"][:] = -1
            self._arrays["tap_at"][list(options.taps)] = range(len(options.taps))
        if self.seat.call:
            self._arrays["call"][0] = self.seat.call
        tensors = {
            name: as_tensor(array if is_aligned(array) else aligned_copy(array))
            for name, array in self._arrays.items()
        }
        self._functions = program.functions
        self.tile_rows = program.functions["layers"].tile_rows
        self._library = functions  # what is taken from it needs it alive
        self._variants = {
            name: partial(functions[name], *(tensors[argument] for argument in function.arguments))
            for function in program.functions.values()
            for _, name in function.variants
        }

    def step(self, batch: StepBatch) -> StepOutput:
        """Run one ragged batch: any mix of prefill chunks and decodes."""
        self.run_layers(batch)
        return self.run_head(batch.rows)

    def run_layers(self, batch: StepBatch) -> None:
        """The first half of `step`. A stage that is not the first one finds in `hidden` what it
        goes on from, and every stage leaves there what it came to."""
        a, count = self._arrays, len(batch.tokens)
        sequences, pages = batch.page_table.shape
        a["ids"][:count], a["positions"][:count] = batch.tokens, batch.positions
        a["slots"][:count] = batch.slots
        a["query_starts"][: sequences + 1] = batch.query_starts
        a["kv_lengths"][:sequences] = batch.kv_lengths
        a["page_table"][:sequences, :pages] = batch.page_table
        a["sizes"][:3] = count, *self._lay_out_attention(batch.query_starts, batch.kv_lengths)
        self._run("layers", count)

    def run_head(self, rows: Ints) -> StepOutput:
        """The second half, in the last stage. Of several shards the first one has the output."""
        a, count = self._arrays, len(rows)
        if count:
            a["select"][:count], a["sizes"][0] = rows, count
            self._run("head", count)
        else:
            a[self._functions["head"].ends][:] = 0  # it took no time
        logits, chosen = a["logits"][:count, : self.spec.vocab], a["chosen"][:count]
        largest = logits[np.arange(count), chosen]
        return StepOutput(logits, chosen, a["normed"][:count, : self.spec.hidden], largest)

    def hidden(self, count: int) -> npt.NDArray[np.float32]:
        """f32[count, hidden]: the residual stream of a step's tokens, padding included."""
        hidden: npt.NDArray[np.float32] = self._arrays["x"][:count]
        return hidden

    def tapped(self, tokens: Ints) -> npt.NDArray[np.float32]:
        """As `TappedModel.tapped`."""
        own, whole = self.spec.hidden, self._arrays["x"].shape[1]
        taps: npt.NDArray[np.float32] = self._arrays["taps"][tokens]
        return taps.reshape(-1, whole)[:, :own].reshape(len(tokens), len(self.options.taps) * own)

    def _run(self, function: str, rows: int) -> None:
        self._variants[self._functions[function].variant_for(rows)]()
        if "clock" in self._arrays:
            self._arrays["clock"][0] += self.meetings(function)

    def meetings(self, function: str) -> int:
        """How often the shards of this rank's stage meet in a function of the step."""
        return 1 if function == "head" else MEETINGS * self.place.layers

    def seconds_by_operator(self) -> dict[str, float]:
        """Where the last step's time went, as its first thread saw it."""
        return {
            name: seconds
            for function in self._functions.values()
            for name, seconds in seconds_by_operator(
                function.operators, self._arrays[function.ends]
            ).items()
        }

    def meeting_s(self) -> float:
        """Of the last step the time at the meetings of its shards, until what they brought there is
        added up."""
        functions = (self._functions[name] for name in ("layers", "head"))
        return sum(
            [
                seconds_of(BEHIND_MEETINGS, function.operators, self._arrays[function.ends])
                for function in functions
            ]
        )

    def weights_and_copies(self) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Each packed weight as it is in this model's memory, and mapped from the store again."""
        return {name: (self._arrays[name], copy) for name, copy in self._stored().items()}

    def read_page(self, page: int) -> bytes:
        """Keys and values of a page's tokens, of all layers."""
        return bytes(self._arrays["pages"][:, page].tobytes())

    def write_page(self, page: int, content: bytes) -> None:
        """What `read_page` gave; ValueError if it is not of this size."""
        at = self._arrays["pages"][:, page]
        if len(content) != at.nbytes:
            raise ValueError(f"a page of this model has {at.nbytes} bytes, found {len(content)}")
        at[...] = np.frombuffer(content, at.dtype).reshape(at.shape)

    def weight_bytes(self, name: str) -> int:
        """Bytes of one packed matrix over all layers, as the step reads it."""
        return self._arrays[name].nbytes

    def _lay_out_attention(self, query_starts: Ints, kv_lengths: Ints) -> tuple[int, int]:
        """Writes the work list; returns how many parts and splits it has."""
        group, kv_heads = self._local.queries_per_kv_head, self._local.kv_heads
        window = 0 if self.spec.sinks else self.spec.window
        work = work_list(query_starts, kv_lengths, group, kv_heads, self.options.threads, window)
        self._arrays["parts"][: len(work.parts)] = work.parts
        self._arrays["splits"][: len(work.splits)] = work.splits
        return len(work.parts), len(work.splits)


def check_arrays(arrays: dict[str, npt.NDArray[Any]], table: dict[str, Buffer]) -> None:
    """Raises ValueError for an array that is not as the step was compiled for: the compiled
    functions look at nothing but where it begins."""
    for name, buffer in table.items():
        found = arrays[name]
        if (found.shape, found.dtype) != (tuple(buffer.shape), np.dtype(buffer.dtype)):
            raise ValueError(
                f"{name} must be {buffer.dtype} {list(buffer.shape)}, "
                f"found {found.dtype} {list(found.shape)}"
            )
