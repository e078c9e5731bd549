"""AWQ (https://arxiv.org/abs/2306.00978), as AutoAWQ writes it: 4 bits in groups along the inputs,
each with a scale and a zero; inputs first, and outputs in an order of their own within a word."""

import numpy as np

from raylax.kernels.checkpoints.groups import Bytes, Groups, Kind, joined
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
    kind_for,
    matrix,
    numbers,
)

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which output the digits of a word belong to, from the lowest on."""


def unpacked(words: Array) -> Array:
    """Digits [.., outputs] of words [.., outputs / 8]."""
    mixed = digits(words, 4, 1).reshape(len(words), -1, 8)
    out = np.empty_like(mixed)
    out[..., ORDER] = mixed
    return out.reshape(len(words), -1)


def shape(parts: Parts, settings: Settings) -> tuple[int, ...]:
    inputs, words = matrix("qweight", parts["qweight"])
    if (bits := settings.get("bits", settings.get("w_bit", 4))) != 4:
        raise ValueError(f"AWQ has 4 bits, found {bits!r}")
    groups, _ = matrix("scales", parts["scales"])
    check_groups(inputs, groups, settings.get("group_size", settings.get("q_group_size")))
    fit("scales", parts["scales"], (groups, words * 8))
    fit("qzeros", parts["qzeros"], (groups, words))
    return words * 8, inputs


def words_of(rows: slice) -> tuple[slice, slice]:
    """Which words have these outputs, and which of theirs they are."""
    first = rows.start // 8
    own = slice(rows.start - first * 8, rows.stop - first * 8)
    return slice(first, -(-rows.stop // 8)), own


def codes_of(parts: Parts, rows: slice) -> tuple[Array, Array]:
    """Weights [inputs, rows] and zeros [groups, rows]."""
    words, own = words_of(rows)
    weights, zeros = (
        unpacked(parts[name].mapped()[:, words])[:, own] for name in ("qweight", "qzeros")
    )
    return weights, zeros


def kind(parts: Parts, _: Settings) -> Kind | None:
    scales = parts["scales"]
    return kind_for(4, parts["qweight"].shape[0], scales.shape[0], scales, zeros=True)


def groups(kind: Kind, parts: Parts, _: Settings, rows: slice) -> Groups:
    words, own = words_of(rows)
    codes = packed_outputs(parts["qweight"].mapped()[:, words])[own]
    zeros = unpacked(parts["qzeros"].mapped()[:, words])[:, own]
    return grouped(kind, codes, parts["scales"].mapped()[:, rows].T, zeros.T)


def packed_outputs(words: Array) -> Bytes:
    """Of words [inputs, outputs / 8] the outputs' codes [outputs, inputs / 2], as groups have
    them."""
    inputs, count = words.shape
    lines = np.ascontiguousarray(words).view(np.uint32).reshape(inputs // 32, 2, 16, count)
    out = np.empty((count, 8, inputs // 2), np.uint8)
    for i, part in enumerate(joined(lines[:, 0], lines[:, 1])):
        four = part.reshape(inputs // 2, count).view(np.uint8).reshape(inputs // 2, count, 4)
        for byte in range(4):
            out[:, ORDER[2 * byte + i]] = four[:, :, byte].T
    return out.reshape(count * 8, inputs // 2)


def values(parts: Parts, settings: Settings, rows: slice) -> Floats:
    weights, zeros = codes_of(parts, rows)
    scales = numbers(parts["scales"], (slice(None), rows))
    group = len(weights) // len(scales)
    grouped = weights.reshape(len(scales), group, -1).astype(np.float32)
    out: Floats = (grouped - zeros[:, None]) * scales[:, None]
    return out.reshape(len(weights), -1).T


AWQ = Scheme(("qweight", "qzeros", "scales"), (), shape, values, "AWQ", kind, groups)
