"""A weight that several tensors make."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.groups import (
    SCALES,
    Bytes,
    Groups,
    Kind,
    group_of,
    packed,
    packed_words,
    spread,
)
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

    @property
    def form(self) -> Kind | str: ...


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
    name: str
    """What users call it."""
    kind: Callable[[Parts, Settings], Kind | None] = lambda parts, settings: None
    """Of the groups that it is kept in, if there are kernels for them."""
    groups: Callable[[Kind, Parts, Settings, slice], Groups] | None = None
    """Some of its rows as groups of this kind."""


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
        with self._fitting():
            values = self.scheme.values(self.parts, self.settings, slice(first, end))
            return np.ascontiguousarray(values, np.float32)

    def bits(self, dtype: str) -> Array | None:
        """None: it lies in no file as a whole."""
        return None

    @property
    def form(self) -> Kind | str:
        """In groups, if its scheme has such as are kept; else the scheme's name. Raises
        CheckpointError for parts that do not belong together."""
        with self._fitting():
            return self.scheme.kind(self.parts, self.settings) or self.scheme.name

    def groups(self, rows: slice = WHOLE) -> Groups:
        """These rows in groups. Raises CheckpointError for parts that do not belong together."""
        first, end, _ = rows.indices(self.shape[0])
        kind = self.form
        assert isinstance(kind, Kind) and self.scheme.groups is not None
        with self._fitting():
            return self.scheme.groups(kind, self.parts, self.settings, slice(first, end))

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, IndexError) as error:
            raise CheckpointError(f"{self.file}: parts do not fit together: {error}") from None


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
        except ValueError as error:
            raise CheckpointError(
                f"{where}: {module}: parts do not fit together: {error}"
            ) from None
        out[f"{module}.weight"] = Composed(scheme, there, settings, shape)
    return out


def weights_of(settings: Settings) -> Settings:
    """What compressed-tensors' config says of weights, in its only group of layers. Raises
    ValueError for several."""
    groups = settings.get("config_groups")
    if not isinstance(groups, dict) or len(groups) != 1:
        raise ValueError(f"config_groups must be one, found {ascii(groups)[:80]}")
    (group,) = groups.values()
    weights = group.get("weights") if isinstance(group, dict) else None
    if not isinstance(weights, dict):
        raise ValueError(
            f"a group of layers must say what its weights are, found {ascii(group)[:80]}"
        )
    return weights


def fit(name: str, part: Part | None, *shapes: tuple[int, ...]) -> None:
    """Raises ValueError for a part that has none of these shapes. None: it is not there."""
    if part is not None and tuple(part.shape) not in shapes:
        must = " or ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"{name} must have the shape {must}, found {tuple(part.shape)}")


def matrix(name: str, part: Part) -> tuple[int, int]:
    """Its shape. Raises ValueError for what is no matrix, or has nothing in it."""
    if len(part.shape) != 2 or 0 in part.shape:
        raise ValueError(f"{name} must be a matrix, found the shape {tuple(part.shape)}")
    return part.shape[0], part.shape[1]


def check_groups(depth: int, groups: int, said: Any = None) -> None:
    """Raises ValueError for groups that inputs do not fill evenly. `said`: how many inputs a group
    has by the config, of which the last one may have fewer."""
    if groups == 0 or depth % groups:
        raise ValueError(f"{depth} inputs are not {groups} groups of one size")
    if isinstance(said, int) and said > 0 and depth % said and groups == -(-depth // said):
        raise ValueError(f"{depth} inputs are no whole groups of {said}")


def numbers(part: Part, where: Any = WHOLE) -> Floats:
    """Those of a part that numpy's index names, in f32."""
    return widened(part.mapped()[where], part.precision)


def kind_for(
    bits: int, columns: int, groups: int, scales: Part, zeros: bool = False
) -> Kind | None:
    """The kind of rows of so many numbers, up to 8 bits each, in so many groups of the same size.
    None: no kernel takes them."""
    if groups == 0 or columns % groups or scales.precision not in SCALES:
        return None
    if (group := group_of(columns // groups, columns)) is None:
        return None
    return Kind(4 if bits <= 4 else 8, group, SCALES[scales.precision], "zero" if zeros else "")


def grouped(kind: Kind, codes: Bytes, scales: Array, zeros: Array | None = None) -> Groups:
    """Rows of codes as groups of a kind have them, and scales and zeros of groups of any size.
    Raises ValueError for parts that do not fit together."""
    rows, columns = len(codes), codes.shape[1] * 8 // kind.bits

    def wide(parts: Array) -> Array:
        if len(parts) not in (1, rows) or columns % parts.shape[1]:
            raise ValueError(f"{parts.shape} for the groups of {(rows, columns)}")
        every = np.broadcast_to(parts, (rows, parts.shape[1]))
        return spread(every, columns // parts.shape[1], columns, kind.group)

    return Groups(kind, codes, wide(scales), None if zeros is None else wide(zeros))


def in_order(index: Part | None, width: int) -> bool:
    """Whether the inputs of a group lie together. `index`: the group of each, where it is said."""
    if index is None:
        return True
    of = index.mapped()
    return bool((of == np.arange(len(of)) // width).all())


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


def some_digits(words: Array, bits: int, axis: int, own: slice) -> npt.NDArray[np.uint8]:
    """Those of them that the slice names from first to end: 32 are whole words."""
    lines, first = np.moveaxis(words, axis, -1), own.start // 32
    part = digits(lines[..., first * bits : -(-own.stop // 32) * bits], bits, -1)
    return np.moveaxis(part[..., own.start - first * 32 : own.stop - first * 32], -1, axis)


def rows_of_words(words: Array, bits: int, kind: Kind, depth: int) -> Bytes:
    """Codes of a kind, of digits that are packed along rows, `depth` in each."""
    if bits == 4 and kind.bits == 4 and depth % 32 == 0:
        return packed_words(words[:, : depth // 8])
    return packed(np.ascontiguousarray(digits(words, bits, 1)[:, :depth]), kind.bits)
