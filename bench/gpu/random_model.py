"""A model of any shape whose weights, keys and values are random: only the device ever has them."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from blocks import Blocks, Kind
from packing.kit import Kit

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.device.memory import DeviceMemory
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.formats.base import Array, Floats, Format, Packed
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.step.capacity import StepCapacity, weight_bytes
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.cuda.step.weights.loading import Loader
from raylax.kernels.families import weights_of
from raylax.kernels.options import ModelOptions, silent
from raylax.kernels.spec import DecoderSpec

USED = 0.9
"""Of the memory that is left for pages."""


@dataclass
class Shape:
    """A checkpoint in which tensors have a shape alone, and take no memory."""

    spec: DecoderSpec
    dtype: str = "bfloat16"
    config: dict[str, Any] = field(default_factory=dict)
    identity: str = "random"
    text: Path = Path()

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        weights = weights_of(self.spec).values()
        layers = range(self.spec.layers)
        return dict(pair for one in weights for layer in layers for pair in one.sources(layer))

    def tensor(self, name: str, rows: slice = WHOLE) -> Any:
        """Matrices are of bytes, so that little is copied on the way."""
        shape = self._shapes[name]
        return blank(shape, "uint8" if len(shape) == 2 else "float32")[rows]

    def bits(self, name: str, dtype: str) -> Any:
        """As it would lie in a file of bf16."""
        return blank(self._shapes[name], "uint16") if dtype == self.dtype else None

    def blocks(self, name: str, rows: slice = WHOLE) -> None:
        """It is of no GGUF file."""


class RandomLoader(Loader):
    """Takes an array for its size alone: what comes to the device are random numbers."""

    blocks: Blocks
    kv_bytes: int
    """Of a layer's keys and values."""

    __slots__ = ("blocks", "kv_bytes")

    def weights(self, positions: int, pages: list[tuple[int, int]]) -> Any:
        for codes, _ in pages:
            self.blocks.fill(codes, self.kv_bytes, "halves")
        return super().weights(positions, pages)

    def _put(self, array: Array) -> int:
        if array.dtype == np.float32:  # the tables of rotations, which are small
            return super()._put(array)
        memory = DeviceMemory(array.nbytes)
        self.held.append(memory)
        kind: Kind = "words" if array.dtype == np.int32 else "halves"
        self.blocks.fill(memory.address, array.nbytes, kind)
        return memory.address


class ShapedDense(Dense):
    """Packs shapes."""

    __slots__ = ()

    def pack(self, weight: Floats, threads: int = 1) -> Packed:
        return shapes(self, weight)


class ShapedGrouped(Grouped):
    """Packs shapes."""

    __slots__ = ()

    def pack(self, weight: Floats, threads: int = 1) -> Packed:
        return shapes(self, weight)


def shapes(form: Format, weight: Floats) -> Packed:
    """Arrays of the sizes that packed weights have."""
    return {name: blank(*how) for name, how in form.shapes(*weight.shape).items()}


def shaped(form: Format) -> Format:
    """A format that packs shapes."""
    kind = ShapedGrouped if isinstance(form, Grouped) else ShapedDense
    return kind(*(getattr(form, one.name) for one in fields(form)))


def blank(shape: tuple[int, ...], kind: str) -> Array:
    """An array that takes no memory."""
    return np.broadcast_to(np.zeros((), kind), shape)


class RandomModel(DeviceModel):
    """A model in plain keys and values."""

    def __init__(self, kit: Kit, options: ModelOptions, wanted: int) -> None:
        """`wanted`: pages, of which there are fewer if they do not fit. Raises DeviceError where
        the weights do not."""
        shape = Shape(kit.timed)
        form = DeviceForm.of(shape.spec, shape.dtype, options, CHIPS[kit.chip])
        q = form.quantization
        form = replace(form, quantization=replace(q, layers=shaped(q.layers), head=shaped(q.head)))
        rest = weight_bytes(form, options.max_sequence_length) + StepCapacity(form, options).bytes
        left = driver.memory(0)[0] - rest
        pages = max(1, min(wanted, int(left * USED) // form.layout.page_bytes))
        self._blocks = Blocks(kit.small)
        self._kv_bytes = form.layout.layer_bytes[0] * pages
        cubins = kit.overlapped if options.overlap_launches else kit.cubins
        assert cubins
        super().__init__(shape, options, form, cubins, pages, silent)
        self._blocks.wait()

    def loader(self, *given: Any) -> Loader:
        """What brings its weights."""
        loader = RandomLoader(*given)
        loader.blocks, loader.kv_bytes = self._blocks, self._kv_bytes
        return loader
