"""A model on a GPU: its weights and pages lie there, and a step is a call of the compiled graph.

With a library for this machine's CPU it runs there, which is how the tests run it. The graph has
run on no GPU so far.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import library
from raylax.kernels.cuda.library import Facts
from raylax.kernels.cuda.runtime import Device
from raylax.kernels.cuda.target import DTYPES, KV_DTYPES
from raylax.kernels.cuda.weights import weights
from raylax.kernels.model import Ints, Seat, StepOutput
from raylax.kernels.options import PAGE_SIZE, ModelOptions, ProgressCallback, silent
from raylax.kernels.rotary import rotary_tables
from raylax.kernels.store import Store

HOST_DTYPES = {"bfloat16": "uint16"}
"""The types that numpy does not know, and those that it keeps their bits as."""


def load_on_device(
    checkpoint: Path,
    options: ModelOptions,
    pages: int,
    store: Path | None = None,
    progress: ProgressCallback = silent,
) -> "CudaModel":
    """A model that is ready to run: its library found or compiled, its weights on the GPU. Raises
    CheckpointError, CompileError."""
    read = open_checkpoint(checkpoint)
    path = library(read, options, Store(store), progress)
    return CudaModel(read, options, path, pages, progress)


class CudaModel:
    """A whole model on one device."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: ModelOptions,
        path: Path,
        pages: int,
        progress: ProgressCallback,
    ) -> None:
        facts = Facts.beside(path)
        self.spec, self.options, self.library = checkpoint.spec, options, str(path)
        self.quantization, self.pages = facts.quantization, pages
        self.kv_dtype = KV_DTYPES[facts.quantization]
        self.seat, self.place = Seat(), options.degree.place(checkpoint.spec, 0)
        self._device = device = Device(options.device)
        self._functions = device.functions(path)  # taken from it, they need it alive
        self._step = self._functions["step"]
        spec, dtype = checkpoint.spec, DTYPES[facts.quantization]
        tables = rotary_tables(spec, options.max_sequence_length)
        self._cos, self._sin = (device.put(table) for table in tables)
        shape = pages, 2, spec.kv_heads, PAGE_SIZE, spec.head_dim
        self._pages = tuple(device.empty(shape, dtype) for _ in range(spec.layers))
        value = np.dtype(HOST_DTYPES.get(dtype, dtype))
        self.page_bytes = spec.layers * math.prod(shape[1:]) * value.itemsize
        self._weights = []
        for done, (values, kind) in enumerate(weights(checkpoint, facts)):
            self._weights.append(device.put(values, kind))
            progress("load", (done + 1) / len(facts.parameters))

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
        """As `Model.step`: any mix of prefill chunks and decodes."""
        count = -(-kv_lengths // PAGE_SIZE)
        starts = np.concatenate([[0], np.cumsum(count)])
        used = np.concatenate([page_table[i, :n] for i, n in enumerate(count)])
        wanted = rows if len(rows) else np.zeros(1, np.int32)  # a GPU starts no empty kernel
        sequences = query_starts, starts, used, (kv_lengths - 1) % PAGE_SIZE + 1
        given = [self._ints(one) for one in (tokens, positions, slots, *sequences, wanted)]
        out = self._step(*given, self._cos, self._sin, self._pages, self._weights)
        logits, hidden = (self._device.read(out[i], "float32")[: len(rows)] for i in range(2))
        return StepOutput(logits, logits.argmax(1).astype(np.int32), hidden)

    def _ints(self, values: npt.NDArray[Any]) -> Any:
        return self._device.put(values.astype(np.int32, copy=False))

    def read_page(self, page: int) -> bytes:
        """Keys and values of a page's tokens, of all layers."""
        return b"".join(self._bits(layer, page).tobytes() for layer in self._pages)

    def _bits(self, layer: Any, page: int) -> npt.NDArray[Any]:
        dtype = str(layer.dtype)
        return self._device.read(self._device.part(layer, page), HOST_DTYPES.get(dtype, dtype))

    def write_page(self, page: int, content: bytes) -> None:
        """What `read_page` gave; ValueError if it is not of this size."""
        if len(content) != (size := self.page_bytes):
            raise ValueError(f"a page of this model has {size} bytes, found {len(content)}")
        for layer, bits in zip(self._pages, split(content, len(self._pages)), strict=True):
            self._device.write(self._device.part(layer, page), np.frombuffer(bits, np.uint8))

    def seconds_by_operator(self) -> dict[str, float]:
        """Nothing: a device's operators are not timed yet."""
        return {}

    def weights_and_copies(self) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Nothing: no other process can write to a device's memory."""
        return {}


def split(content: bytes, count: int) -> Sequence[bytes]:
    """A text in so many parts of one size."""
    size = len(content) // count
    return [content[i * size : (i + 1) * size] for i in range(count)]
