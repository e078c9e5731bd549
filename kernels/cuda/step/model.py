"""A model on a GPU: its weights and pages lie there, and a step is a graph of launches.

It has run on no GPU so far; tests run it on a driver that interprets the launches.
"""

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.cubins.facts import load
from raylax.kernels.cuda.device.code import Kernel
from raylax.kernels.cuda.device.memory import DeviceMemory, read, write
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.device.upload import Upload
from raylax.kernels.cuda.formats import Quantization
from raylax.kernels.cuda.pages import KV, PageLayout
from raylax.kernels.cuda.step.batch import Batch, fields_of
from raylax.kernels.cuda.step.buckets import bucket
from raylax.kernels.cuda.step.inputs import StepInputs
from raylax.kernels.cuda.step.loading import Loader
from raylax.kernels.cuda.step.program import StepProgram
from raylax.kernels.cuda.step.rows import DeviceRows
from raylax.kernels.cuda.step.runner import StepRunner
from raylax.kernels.cuda.step.values import DeviceValues, StepSizes, value_sizes
from raylax.kernels.cuda.step.work_list import Division
from raylax.kernels.cuda.variants.attention import SPLIT, AttentionShape, attend
from raylax.kernels.cuda.variants.table import all_for
from raylax.kernels.model import Floats, Ints, Seat, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback

PLACES = 2 * 132
"""Programs of attention that an H200 runs at once. By another number work is divided less well."""
SLOTS = 4
"""For splits that are computed apart, of each sequence."""


class DeviceModel:
    """A whole model on one device."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: ModelOptions,
        quantization: Quantization,
        kv: KV,
        chip: int,
        cubins: Path,
        pages: int,
        progress: ProgressCallback,
    ) -> None:
        """`cubins`: the directory of its machine code, for this chip. Raises KernelsError."""
        spec = checkpoint.spec
        self.spec, self.options, self.library = spec, options, str(cubins)
        self.quantization, self.kv_dtype = quantization.name, kv_name(kv, quantization)
        self.pages, self.seat, self.place = pages, Seat(), options.degree.place(spec, 0)
        self._layout = PageLayout(spec.layers, spec.kv_heads, spec.head_dim, kv)
        self.page_bytes = self._layout.page_bytes
        heads = AttentionShape(spec.heads, spec.kv_heads, spec.head_dim, quantization.precision, kv)
        formats = packed_formats(quantization)
        variants = all_for(spec, chip, quantization.precision, formats, kv)
        machine_code = load(cubins, variants, CHIPS[chip])
        kernels = {name: Kernel(*cubin) for name, cubin in machine_code.items()}
        tiles = attend(heads, chip)
        self._stream = Stream(int(options.device.partition(":")[2] or 0))
        self._kv = [self._layer_pages() for _ in range(spec.layers)]
        loader = Loader(checkpoint, quantization, chip, Upload(self._stream), progress)
        addresses = [(codes.address, scales.address) for codes, scales in self._kv]
        weights = loader.weights(options.max_sequence_length, addresses)
        self._held = loader.held
        division = division_of(heads, options)
        tokens, rows = options.max_step_tokens, options.max_step_rows
        most = StepSizes(bucket(tokens), bucket(rows), division.slots, tiles[-1].most or 0)
        self._values = DeviceValues(value_sizes(spec, most))
        inputs = StepInputs(fields_of(tokens, rows, division.slots, options.max_sequence_length))
        program = StepProgram(spec, heads, chip, kernels, weights, {**self._values, **inputs})
        self._runner = StepRunner(program, inputs, division, tiles, self._stream, most.rows)
        self._stream.wait()

    def _layer_pages(self) -> tuple[DeviceMemory, DeviceMemory]:
        codes, scales = self._layout.layer_bytes
        return DeviceMemory(codes * self.pages), DeviceMemory(max(1, scales * self.pages))

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
        batch = Batch(tokens, positions, slots, query_starts, kv_lengths, page_table, rows)
        drawn = self._runner.run(batch, self._values["drawn"])
        count, s = len(rows), self.spec
        stream, at = self._stream.address, self._values
        logits = DeviceRows(at["logits"], count, s.vocab, s.padded_vocab, stream)
        states = DeviceRows(at["states"], count, s.hidden, s.hidden, stream)
        return StepOutput(cast(Floats, logits), drawn, cast(Floats, states))

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


def kv_name(kv: KV, quantization: Quantization) -> str:
    """What users call it."""
    return quantization.precision if kv == "plain" else kv


def packed_formats(quantization: Quantization) -> tuple[str, ...]:
    """The names of its packed formats, without their precision."""
    ending = f"_{quantization.precision}"
    names = {quantization.layers.name, quantization.head.name}
    return tuple(sorted(name.removesuffix(ending) for name in names if name.endswith(ending)))


def division_of(heads: AttentionShape, options: ModelOptions) -> Division:
    """How attention's work is divided."""
    longest = -(-options.max_sequence_length // SPLIT)
    slots = max(longest, SLOTS * options.max_step_rows)
    return Division(heads.group, heads.kv_heads, PLACES, slots)
