"""The values between a step's kernels: how large each is at most, and where they lie."""

from collections.abc import Mapping
from dataclasses import dataclass

from raylax.kernels.cuda.device.memory import DeviceMemory, aligned
from raylax.kernels.cuda.formats.shards import head_width
from raylax.kernels.cuda.step.experts import value_sizes as of_experts
from raylax.kernels.cuda.variants.elementwise import is_apart
from raylax.kernels.cuda.variants.segments import SEGMENTS
from raylax.kernels.spec import DecoderSpec, Fusion

F32, HALF = 4, 2
"""Bytes: of sums, and of what products read."""


@dataclass(frozen=True, slots=True)
class StepSizes:
    """The largest step of a model."""

    tokens: int
    rows: int
    slots: int
    """For splits of attention that are computed apart."""
    queries: int
    """Of attention's widest tile."""
    narrow: int
    """The most tokens for which the segments of a product have parts of their own."""


def value_sizes(
    s: DecoderSpec, most: StepSizes, gathered: int = 0, taps: int = 0
) -> dict[str, int]:
    """Bytes of each value. `s`: of a rank's sizes; `gathered`: how many ranks share the model, 0
    where it is alone; `taps`: how many residual streams are kept."""
    if s.blocks is not None:
        return medusas(s, most)
    heads, widest, units = s.heads * s.head_dim, max(s.qkv_rows, s.hidden), s.intermediate
    if s.experts:
        units = max(units, s.experts.dense_intermediate)
    if is_apart(s):
        widest = max(widest, units * (2 if s.gated else 1))
    beside = s.parallel and not s.shared_norm
    summed = max(max(1, gathered) * most.tokens, max(SEGMENTS) * min(most.narrow, most.tokens))
    places = most.slots * s.kv_heads * most.queries
    return {
        "hidden": most.tokens * s.hidden * F32,
        "taps": most.tokens * taps * s.hidden * F32,
        "normed": most.tokens * s.hidden * HALF,
        "beside": most.tokens * s.hidden * HALF * beside,
        "parts": summed * widest * F32,
        "roots": most.tokens * 2 * F32 * (s.qk_norm == "whole"),
        "queries": most.tokens * heads * HALF,
        "attended": most.tokens * heads * HALF,
        "gated": most.tokens * units * HALF,
        "partial": places * s.head_dim * F32,
        "summary": places * 2 * F32,
        "top": most.rows * s.hidden * HALF,
        "states": most.rows * s.hidden * F32,
        "logits": most.rows * s.padded_drawn * F32,
        "shares": gathered * most.rows * head_width(s, max(1, gathered)) * F32,
        "kept": most.rows * s.padded_drawn * F32,
        "drawn": most.rows * F32,
        "largest": most.rows * F32,
        **(of_experts(s, s.experts, most.tokens) if s.experts else {}),
        **(fused(s, s.fusion, most) if s.fusion else {}),
    }


def fused(s: DecoderSpec, fusion: Fusion, most: StepSizes) -> dict[str, int]:
    """What a draft head has beside those."""
    fewer = s.vocab != fusion.vocab
    return {
        "tapped": most.tokens * fusion.tapped * F32,
        "features": most.tokens * s.hidden * F32,
        "embedded": most.tokens * s.hidden * F32,
        "joined": most.tokens * max(2 * s.hidden, fusion.tapped) * HALF,
        "named": most.rows * s.padded_vocab * F32 if fewer else 0,
    }


def medusas(s: DecoderSpec, most: StepSizes) -> dict[str, int]:
    """Of Medusa's heads, which know rows alone."""
    summed = max(most.rows, max(SEGMENTS) * min(most.narrow, most.rows))
    return {
        "hidden": most.rows * s.hidden * F32,
        "normed": most.rows * s.hidden * HALF,
        "parts": summed * s.hidden * F32,
        "logits": most.rows * s.padded_vocab * F32,
        "kept": most.rows * s.padded_vocab * F32,
        "drawn": most.rows * F32,
        "largest": most.rows * F32,
    }


def total(sizes: Mapping[str, int]) -> int:
    """Bytes of all of them, one behind the other."""
    return sum(map(aligned, sizes.values()))


class DeviceValues(dict[str, int]):
    """The address of each value, in one piece of a device's memory; zeros at first."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        """Raises DeviceError where there is not so much."""
        self._memory, end = DeviceMemory(total(sizes)), 0
        self._memory.fill(0)
        for name, size in sizes.items():
            self[name] = self._memory.address + end
            end += aligned(size)
