"""GPTQ (https://arxiv.org/abs/2210.17323), as AutoGPTQ and its successors write it: 2, 3, 4 or 8
bits, inputs first; `g_idx` says which group an input is of, where they were ordered by what they
do."""

import numpy as np

from raylax.kernels.checkpoints.quantised.base import (
    Floats,
    Parts,
    Scheme,
    Settings,
    digits,
    numbers,
)

BITS = (2, 3, 4, 8)


def bits_of(settings: Settings) -> int:
    """Raises ValueError for another number than there is."""
    bits = settings.get("bits")
    if bits not in BITS:
        raise ValueError(f"GPTQ has 2, 3, 4 or 8 bits, found {bits!r}")
    return int(bits)


def shape(parts: Parts, settings: Settings) -> tuple[int, ...]:
    words, outputs = parts["qweight"].shape
    return outputs, words * 32 // bits_of(settings)


def values(parts: Parts, settings: Settings, rows: slice) -> Floats:
    """A zero is kept less one, but for the format's second version."""
    bits = bits_of(settings)
    weights = digits(parts["qweight"].mapped()[:, rows], bits, 0)
    zeros = digits(parts["qzeros"].mapped(), bits, 1)[:, rows].astype(np.int32)
    if settings.get("checkpoint_format", "gptq") != "gptq_v2":
        zeros = (zeros + 1) & ((1 << bits) - 1)
    scales = numbers(parts["scales"], (slice(None), rows))
    if "g_idx" in parts:
        group = parts["g_idx"].mapped().astype(np.int64)
    else:
        group = np.arange(len(weights)) // (len(weights) // len(scales))
    out: Floats = (weights.astype(np.float32) - zeros[group]) * scales[group]
    return out.T


GPTQ = Scheme(("qweight", "qzeros", "scales"), ("g_idx",), shape, values)
