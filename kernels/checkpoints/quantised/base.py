"""A weight that several tensors make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.tensors import widened
from raylax.kernels.errors import CheckpointError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Settings = Mapping[str, Any]
"""What config.json says below `quantization_config`."""


class Part(Protocol):
    """A tensor as it lies in a file."""

    @property
    def file(self) -> Path: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def precision(self) -> str: ...

    def mapped(self) -> Array:
        """Its numbers; those that numpy has not, as their bits."""
        ...

    def read(self, rows: slice = WHOLE) -> Floats: ...

    def bits(self, dtype: str) -> Array | None: ...


Parts = Mapping[str, Part]
"""Of one weight, by the ends of their names."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to keep a weight in parts."""

    ends: tuple[str, ...]
    """Of the names of parts that must be there, after the module's."""
    others: tuple[str, ...]
    """Of those that may be."""
    shape: Callable[[Parts, Settings], tuple[int, ...]]
    """Of the weight, rows first."""
    values: Callable[[Parts, Settings, slice], Floats]
    """Of some of the weight's rows, which the slice names from first to end."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A weight that a scheme makes of its parts."""

    scheme: Scheme
    parts: Parts
    settings: Settings
    shape: tuple[int, ...]

    @property
    def file(self) -> Path:
        """Of one of them."""
        return self.parts[self.scheme.ends[0]].file

    @property
    def precision(self) -> str:
        """Of what is read."""
        return "float32"

    def read(self, rows: slice = WHOLE) -> Floats:
        """These rows in f32. Raises CheckpointError for parts that do not belong together."""
        first, end, _ = rows.indices(self.shape[0])
        try:
            values = self.scheme.values(self.parts, self.settings, slice(first, end))
            return np.ascontiguousarray(values, np.float32)
        except (ValueError, IndexError) as error:
            raise CheckpointError(f"{self.file}: parts do not fit together: {error}") from None

    def bits(self, dtype: str) -> Array | None:
        """None: it lies in no file as a whole."""
        return None


def composed(
    found: Mapping[str, Part], scheme: Scheme, settings: Settings, where: Path
) -> dict[str, Part | Composed]:
    """All tensors of a checkpoint, weights in the place of their parts. Raises CheckpointError for
    parts that are not all there."""
    out: dict[str, Part | Composed] = dict(found)
    first = f".{scheme.ends[0]}"
    for module in [name.removesuffix(first) for name in found if name.endswith(first)]:
        parts = {end: found.get(f"{module}.{end}") for end in (*scheme.ends, *scheme.others)}
        there = {end: part for end, part in parts.items() if part is not None}
        if missing := [end for end in scheme.ends if end not in there]:
            raise CheckpointError(f"{where}: tensor {module}.{missing[0]} is missing")
        for end in there:
            del out[f"{module}.{end}"]
        try:
            shape = scheme.shape(there, settings)
        except (ValueError, IndexError, KeyError) as error:
            raise CheckpointError(
                f"{where}: {module}: parts do not fit together: {error}"
            ) from None
        out[f"{module}.weight"] = Composed(scheme, there, settings, shape)
    return out


def numbers(part: Part, where: Any = WHOLE) -> Floats:
    """Those of a part that numpy's index names, in f32."""
    return widened(part.mapped()[where], part.precision)


def digits(words: Array, bits: int, axis: int) -> npt.NDArray[np.uint8]:
    """Unsigned numbers of a few bits, packed along an axis into int32 from the lowest bit on, one
    running over into the next word where 32 is no multiple."""
    lines = np.moveaxis(words, axis, -1)
    raw = np.ascontiguousarray(lines).astype("<i4", copy=False).view(np.uint8)
    out: Array = raw
    if bits < 8 and 8 % bits == 0:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        out = (raw[..., None] >> shifts & ((1 << bits) - 1)).reshape(*raw.shape[:-1], -1)
    elif bits < 8:
        single = np.unpackbits(raw, axis=-1, bitorder="little")
        count = single.shape[-1] // bits
        grouped = single[..., : count * bits].reshape(*raw.shape[:-1], count, bits)
        out = np.packbits(grouped, axis=-1, bitorder="little")[..., 0]
    return np.moveaxis(out, -1, axis)
