"""Tensors that have the matrices of all experts of a layer, as gpt-oss keeps them: taken apart by
name, so that each expert has its own where other checkpoints have it. Nothing is read for it.

A matrix has its columns as rows, and gate and up of a unit next to each other; its bias has one row
for each expert. In MXFP4 it lies by rows: in blocks of 32 numbers, and a scale for each.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.groups import Kind
from raylax.kernels.checkpoints.quantised.base import Part
from raylax.kernels.checkpoints.quantised.microscaled import MX
from raylax.kernels.checkpoints.tensors import check_shape, widened
from raylax.kernels.errors import CheckpointError
from raylax.kernels.spec import DecoderSpec

TOGETHER = re.compile(r"(.+\.experts)\.(gate_up_proj|down_proj)(?:_(bias|blocks|scales))?")
BY_TURNS = {"gate_proj": slice(0, None, 2), "up_proj": slice(1, None, 2)}
"""Rows of gate and up together that are of each."""
ENDS = {None: "weight", "bias": "bias", "blocks": "weight_blocks", "scales": "weight_scales"}
"""Of the name of an expert's tensor, by that of all experts'."""


@dataclass(frozen=True, slots=True)
class OfExpert:
    """Some rows of one expert, in a tensor of all."""

    whole: Part
    expert: int
    rows: slice
    transposed: bool
    shape: tuple[int, ...]

    @property
    def file(self) -> Path:
        return self.whole.file

    @property
    def precision(self) -> str:
        """The name of its type."""
        return self.whole.precision

    @property
    def form(self) -> Kind | str:
        """As all of it lies there."""
        return self.whole.form

    def mapped(self) -> npt.NDArray[Any]:
        """Its numbers, wherever they are in the file."""
        own: npt.NDArray[Any] = self.whole.mapped()[self.expert]
        return (own.T if self.transposed else own)[self.rows]

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """These of its rows in f32, exactly; nothing is kept."""
        return widened(np.ascontiguousarray(self.mapped()[rows]), self.precision)

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """As it lies there, if it is of this precision."""
        return self.mapped() if self.precision == dtype else None


def one_by_one(found: Mapping[str, Part], spec: DecoderSpec) -> dict[str, Part]:
    """A checkpoint's tensors, with those of each expert in the place of those of all. Raises
    CheckpointError for one that has another shape."""
    out: dict[str, Part] = {}
    for name, one in found.items():
        if together := TOGETHER.fullmatch(name):
            check_shape(one, name, expected(one, name, spec, *together.group(2, 3)))
            out |= of_each(one, *together.groups())
        else:
            out[name] = one
    return out


def expected(
    one: Part, name: str, spec: DecoderSpec, matrix: str, part: str | None
) -> tuple[int, ...]:
    """The shape that it has in such a model. Raises CheckpointError for rows that blocks do not
    fill."""
    assert spec.experts is not None
    count, units, hidden = spec.experts.count, spec.experts.intermediate, spec.hidden
    rows, columns = (hidden, units) if matrix == "down_proj" else (2 * units, hidden)
    match part:
        case None:
            return count, columns, rows
        case "bias":
            return count, rows
    if columns % MX:
        raise CheckpointError(
            f"{one.file}: tensor {name}: {columns} inputs are no whole groups of {MX}, as MXFP4 has"
        )
    blocks = count, rows, columns // MX
    return (*blocks, MX // 2) if part == "blocks" else blocks


def of_each(
    one: Part, prefix: str, matrix: str, part: str | None
) -> Iterator[tuple[str, OfExpert]]:
    """(name, tensor) of each expert, and of gate and up apart."""
    count, *shape = one.shape
    shape = shape[::-1] if part is None else shape
    own = {"down_proj": WHOLE} if matrix == "down_proj" else BY_TURNS
    for called, rows in own.items():
        size = len(range(shape[0])[rows]), *shape[1:]
        for expert in range(count):
            name = f"{prefix}.{expert}.{called}.{ENDS[part]}"
            yield name, OfExpert(one, expert, rows, part is None, size)
