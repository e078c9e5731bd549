"""Weights of 4 or 8 bits in groups along the inputs, each with a scale: `source/quantised.py`.

Symmetric: weight = digit * scale, rounded once to the activations' precision. Integers are rounded
as on the CPU (`kernels/cpu/rounding.py`): in groups of 32 digits and scales are those of its
formats of the same names.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import bf16_above, from_bf16
from raylax.kernels.checkpoints.groups import packed as packed_codes
from raylax.kernels.checkpoints.quantised.e2m1 import E2M1, to_e2m1
from raylax.kernels.cpu.rounding import EIGHT, FOUR, FOUR_FROM_7, round_groups
from raylax.kernels.cuda.formats.base import (
    AT_ONCE,
    DTYPES,
    Array,
    Floats,
    Packed,
    Precision,
    Shape,
    narrowed,
    widened,
)
from raylax.kernels.cuda.formats.planes import BLOCK, Codes, digits, packed_planes, words_of
from raylax.kernels.e4m3 import LARGEST, from_e4m3, to_e4m3
from raylax.kernels.errors import CompileError
from raylax.kernels.parallel import in_threads

MOST_SCALE = 255.0
"""The kernels multiply the scale of floats by 2^8 in f16, and by 2^120 in bf16."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """`words`: [rows, blocks of 128 inputs * words], `scales`: [groups, rows]."""

    precision: Precision
    bits: int
    group: int
    floats: bool = False
    """Digits are e4m3 or, of 4 bits, e2m1, not integers."""
    zero: int = 8
    """The digit of 4 bits that is 0: 8 here, 7 in weights that MLC has packed."""
    block: int = BLOCK

    @property
    def name(self) -> str:
        """Kernels are `linear_q4_g32_bf16`, `gated_q8_g32_f16`, `linear_fp8_g128_bf16`; of experts
        `experts_into_fp4_g32_bf16`."""
        digit = f"fp{self.bits}" if self.floats else f"q{self.bits}"
        return f"{digit}_g{self.group}_{self.precision}"

    def shapes(self, rows: int, depth: int) -> dict[str, tuple[Shape, str]]:
        blocks = -(-depth // BLOCK)
        words = (rows, blocks * words_of(self.bits)), "int32"
        return {"words": words, "scales": (self._groups(depth, rows), DTYPES[self.precision])}

    def _groups(self, depth: int, rows: int) -> Shape:
        return -(-depth // BLOCK) * BLOCK // self.group, rows

    def pack(self, weight: Floats, threads: int = 1) -> Packed:
        rows, depth = weight.shape
        if depth % self.group:
            raise CompileError(
                f"rows of {self.name} weights must be multiples of its group of {self.group}, "
                f"found {depth}"
            )
        out = {n: np.zeros(shape, kind) for n, (shape, kind) in self.shapes(rows, depth).items()}
        step = max(1, AT_ONCE // depth)

        def work(first: int) -> None:
            part = slice(first, first + step)
            codes, scales = self._quantised(weight[part])
            out["words"][part] = packed_planes(codes, self.bits)
            out["scales"][: depth // self.group, part] = scales.T

        in_threads(work, range(0, rows, step), threads, lambda _: None)
        return out

    def _quantised(self, weight: Floats) -> tuple[Codes, Array]:
        """Digits, packed and padded to whole blocks, and scales [rows, groups]."""
        rows, depth = weight.shape
        own, scales = self._codes(weight)
        if not (most := np.abs(scales).max()) <= MOST_SCALE:  # or it is NaN
            raise CompileError(
                f"scales of {self.name} weights must be at most {MOST_SCALE:g}, found "
                f"{most:g}: a weight of {np.abs(weight).max():g}"
            )
        used, whole = (n * self.bits // 8 for n in (depth, -(-depth // BLOCK) * BLOCK))
        codes = np.full((rows, whole), self._nothing * 17, np.uint8)
        codes[:, :used] = own.reshape(rows, used)
        return codes, narrowed(scales.reshape(rows, -1), self.precision)

    @property
    def _nothing(self) -> int:
        return 0 if self.floats or self.bits == 8 else self.zero

    def _codes(self, weight: Floats) -> tuple[Codes, Floats]:
        """Packed as files have them, and the scale of each group."""
        if not self.floats:
            return self._integers(weight)
        return self._floats(weight) if self.bits == 8 else self._small_floats(weight)

    def _integers(self, weight: Floats) -> tuple[Codes, Floats]:
        """Codes, and the scale of each group."""
        kind = EIGHT if self.bits == 8 else FOUR if self.zero == 8 else FOUR_FROM_7
        half = self.precision == "f16"
        codes, scales = round_groups(weight.reshape(-1, self.group), kind, half)
        return codes ^ np.uint8(kind.zero if self.bits == 8 else 0), scales

    def _floats(self, weight: Floats) -> tuple[Codes, Floats]:
        """The scale is the least with which the largest weight becomes no larger than 448."""
        grouped = weight.reshape(-1, self.group)
        largest = np.maximum(grouped.max(1), -grouped.min(1))
        scales = from_bf16(bf16_above(largest / np.float32(LARGEST)))
        if self.precision == "f16":  # has not all of the small ones
            short = scales.astype(np.float16)
            short = np.where(short < scales, np.nextafter(short, np.float16(np.inf)), short)
            scales = short.astype(np.float32)
        steps = scales[:, None]
        ratios = np.divide(grouped, steps, out=np.zeros_like(grouped), where=steps > 0)
        return to_e4m3(ratios), scales

    def _small_floats(self, weight: Floats) -> tuple[Codes, Floats]:
        """The scale is the power of two with which the largest weight becomes 4 or more, and less
        than 8: so numbers that lie in MXFP4 are had exactly, and the largest of others may become
        6."""
        grouped = weight.reshape(-1, self.group)
        largest = np.maximum(grouped.max(1), -grouped.min(1))
        exponents = np.maximum(np.frexp(largest)[1] - 3, -126)
        scales: Floats = np.ldexp(np.float32(1), exponents).astype(np.float32)
        scales[~np.isfinite(largest)] = np.nan
        codes = to_e2m1(grouped / scales[:, None])
        return packed_codes(codes, self.bits), scales

    def unpack(self, packed: Packed, depth: int) -> Floats:
        codes = digits(packed["words"], self.bits)
        scales = widened(packed["scales"], self.precision).T
        whole = self._numbers(codes).reshape(*scales.shape, self.group)
        exact = whole * scales[:, :, None]
        rounded = widened(narrowed(exact, self.precision), self.precision)
        return np.ascontiguousarray(rounded.reshape(codes.shape)[:, :depth])

    def _numbers(self, codes: Codes) -> Floats:
        if self.floats and self.bits == 4:
            return E2M1[codes]
        if self.floats:
            return from_e4m3(codes)
        whole: npt.NDArray[Any] = codes.view(np.int8) - np.int8(self._nothing)
        return whole.astype(np.float32)

    def erase(self, packed: Packed, first: int, count: int) -> None:
        if first % self.group or count % self.group:
            raise CompileError(
                f"inputs of {self.name} weights are erased in groups of {self.group}, found "
                f"{first} .. {first + count}"
            )
        packed["scales"][first // self.group : (first + count) // self.group] = 0
