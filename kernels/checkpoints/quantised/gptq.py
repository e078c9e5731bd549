"""GPTQ (https://arxiv.org/abs/2210.17323), as AutoGPTQ and its successors write it: 2, 3, 4 or 8
bits, inputs first; `g_idx` says which group an input is of, where they were ordered by what they
do."""

import numpy as np

from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.checkpoints.quantised.base import (
    Array,
    Floats,
    Parts,
    Scheme,
    Settings,
    check_groups,
    digits,
    fit,
    grouped,
    in_order,
    kind_for,
    matrix,
    numbers,
    rows_of_words,
    some_digits,
)

BITS = (2, 3, 4, 8)


def bits_of(settings: Settings) -> int:
    """Raises ValueError for another number than there is."""
    bits = settings.get("bits")
    if bits not in BITS:
        raise ValueError(f"GPTQ has 2, 3, 4 or 8 bits, found {bits!r}")
    return int(bits)


def shape(parts: Parts, settings: Settings) -> tuple[int, ...]:
    (words, outputs), bits = matrix("qweight", parts["qweight"]), bits_of(settings)
    inputs, (groups, _) = words * 32 // bits, matrix("scales", parts["scales"])
    if "g_idx" not in parts:
        check_groups(inputs, groups, settings.get("group_size"))
    fit("scales", parts["scales"], (groups, outputs))
    fit("qzeros", parts["qzeros"], (groups, -(-outputs * bits // 32)))
    fit("g_idx", parts.get("g_idx"), (inputs,))
    return outputs, inputs


def zeros_of(parts: Parts, settings: Settings, rows: slice) -> Array:
    """[groups, rows]. A zero is kept less one, but for the format's second version."""
    bits = bits_of(settings)
    zeros = some_digits(parts["qzeros"].mapped(), bits, 1, rows)
    if settings.get("checkpoint_format", "gptq") != "gptq_v2":
        zeros = (zeros + np.uint8(1)) & np.uint8((1 << bits) - 1)
    return zeros


def kind(parts: Parts, settings: Settings) -> Kind | None:
    """None where inputs were ordered: those of a group lie apart."""
    _, columns = shape(parts, settings)
    scales = parts["scales"]
    found = kind_for(bits_of(settings), columns, scales.shape[0], scales, zeros=True)
    ordered = found is None or in_order(parts.get("g_idx"), columns // scales.shape[0])
    return found if ordered else None


def groups(kind: Kind, parts: Parts, settings: Settings, rows: slice) -> Groups:
    words, (_, depth) = parts["qweight"].mapped()[:, rows].T, shape(parts, settings)
    codes = rows_of_words(words, bits_of(settings), kind, depth)
    scales = parts["scales"].mapped()[:, rows].T
    return grouped(kind, codes, scales, zeros_of(parts, settings, rows).T)


def values(parts: Parts, settings: Settings, rows: slice) -> Floats:
    weights = digits(parts["qweight"].mapped()[:, rows], bits_of(settings), 0)
    zeros = zeros_of(parts, settings, rows).astype(np.int32)
    scales = numbers(parts["scales"], (slice(None), rows))
    if "g_idx" in parts:
        group = parts["g_idx"].mapped().astype(np.int64)
        if group.min() < 0:
            raise ValueError(f"an input is of group {group.min()}")
    else:
        group = np.arange(len(weights)) // (len(weights) // len(scales))
    out: Floats = (weights.astype(np.float32) - zeros[group]) * scales[group]
    return out.T


GPTQ = Scheme(("qweight", "qzeros", "scales"), ("g_idx",), shape, values, "GPTQ", kind, groups)
