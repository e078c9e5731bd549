"""A model that runs: compiled step, mapped weights, pages.

A step's inputs live in buffers made once; running one writes into them and calls two functions.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.build import Artefacts, ModelOptions, Progress, silent
from raylax.kernels.cpu.worklist import work_list
from raylax.kernels.memory import aligned_copy, aligned_zeros, is_aligned
from raylax.kernels.program import Program, seconds_by_operator
from raylax.kernels.runtime import as_tensor
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.weights import map_weights, rotary_tables

Ints = npt.NDArray[np.int32]


class StepOutput(NamedTuple):
    """Views, valid until the next step."""

    logits: npt.NDArray[np.float32]
    """[rows, vocab]."""
    argmax: Ints
    """[rows]: the first index of the largest logit."""


def load_model(
    checkpoint: Path,
    options: ModelOptions,
    pages: int,
    store: Path | None = None,
    progress: Progress = silent,
) -> "Model":
    """Compile or find, pack or map, make ready to run. Raises CheckpointError, CompileError."""
    artefacts = Artefacts(checkpoint, options, store, progress)
    program = artefacts.program.with_pages(pages)
    functions, place = artefacts.functions()
    weights = map_weights(artefacts.weights(), program.table)
    progress("load", 1.0)
    return Model(artefacts.checkpoint.spec, options, program, functions, place, weights)


class Model:
    """Weights and pages behind one `step`. Used by one thread: TVM's thread pool belongs to it."""

    def __init__(
        self,
        spec: DecoderSpec,
        options: ModelOptions,
        program: Program,
        functions: Any,
        place: str,
        weights: dict[str, npt.NDArray[Any]],
    ) -> None:
        self.spec, self.options, self.library = spec, options, place
        self.quantization, self.kv_dtype = program.quantization, program.kv_dtype
        self.pages = program.table["pages"].shape[1]
        cos, sin = rotary_tables(spec, program.sequence_length)
        given = {**weights, "cos": cos, "sin": sin}
        self._arrays = {
            name: given[name] if name in given else aligned_zeros(buffer.shape, buffer.dtype)
            for name, buffer in program.table.items()
        }
        tensors = {
            name: as_tensor(array if is_aligned(array) else aligned_copy(array))
            for name, array in self._arrays.items()
        }
        self._parts, self._library = program.parts, functions  # taken from it, they need it alive
        self._functions = {
            name: partial(functions[name], *(tensors[argument] for argument in part.arguments))
            for part in program.parts.values()
            for _, name in part.functions
        }

    def step(
        self,
        tokens: Ints,
        positions: Ints,
        slots: Ints,
        query_starts: Ints,
        kv_lengths: Ints,
        page_table: Ints,
        rows: Ints,
    ) -> StepOutput:
        """Run one ragged batch: any mix of prefill chunks and decodes.

        tokens[T], positions[T]: what is new, sequence after sequence; slots[T] = page * 16 + offset
        of each; query_starts[B + 1]: where each sequence's new tokens begin; kv_lengths[B]: keys it
        sees at the end; page_table[B, P]; rows[S]: indices of tokens whose logits are wanted.
        """
        a, count = self._arrays, len(tokens)
        batch = len(kv_lengths)
        a["ids"][:count], a["positions"][:count], a["slots"][:count] = tokens, positions, slots
        a["query_starts"][: batch + 1], a["kv_lengths"][:batch] = query_starts, kv_lengths
        a["page_table"][:batch, : page_table.shape[1]] = page_table
        a["sizes"][:] = count, *self._lay_out_attention(query_starts, kv_lengths)
        self._run("layers", count)
        if len(rows):
            a["select"][: len(rows)], a["sizes"][0] = rows, len(rows)
            self._run("head", len(rows))
        return StepOutput(a["logits"][: len(rows), : self.spec.vocab], a["chosen"][: len(rows)])

    def _run(self, part: str, rows: int) -> None:
        self._functions[self._parts[part].function_for(rows)]()

    def seconds_by_operator(self) -> dict[str, float]:
        """Where the last step's time went, as its first thread saw it."""
        return {
            name: seconds
            for part in self._parts.values()
            for name, seconds in seconds_by_operator(
                part.operators, self._arrays[part.ends]
            ).items()
        }

    def weight_bytes(self, name: str) -> int:
        """Of one packed matrix over all layers, as the step reads it."""
        return self._arrays[name].nbytes

    def _lay_out_attention(self, query_starts: Ints, kv_lengths: Ints) -> tuple[int, int]:
        """Writes the work list; how many parts and splits it has."""
        group, kv_heads = self.spec.queries_per_kv_head, self.spec.kv_heads
        work = work_list(query_starts, kv_lengths, group, kv_heads, self.options.threads)
        self._arrays["parts"][: len(work.parts)] = work.parts
        self._arrays["splits"][: len(work.splits)] = work.splits
        return len(work.parts), len(work.splits)
