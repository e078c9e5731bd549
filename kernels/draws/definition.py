"""How a token is drawn: what every backend computes, to the last bit.

1. Of logits with a number that is not finite (NaN, or a largest of +-inf) nothing is drawn.
2. A temperature of 0 takes the largest logit; among equals the lower id.
3. Else each token has t = (logit - largest) * scale, its distance from the largest in powers of
   two, and a weight: 2^t as an integer in units of 2^-40. Integers have one sum in every order.
4. Tokens are ordered by their logits, largest first, among equals the lower id first. Top-k keeps
   the first k; top-p the fewest of these, from the first on, that weigh at least top_p of all of
   them; min-p, of what is left, those whose weight is at least min_p of the largest one's.
   Typical-p, of what is left then, the fewest that weigh at least typical_p of it, from those on
   whose t is nearest to its mean, both in whole numbers; among equals those that come first
   (Meister and others 2022: the t are surprises, but for what all have in common).
5. Each token that is left has noise, from (seed, choice, position, token) alone, and t + noise is
   its score. The largest score is drawn; among equals the lower id. The noise is Gumbel's, so the
   chances are as the 2^t.

The functions from `mixed` to `score` are written over `operators`: +, *, >>, comparisons and exact
casts, in float32 and in integers of 32 and 64 bits, each rounded by itself, none fused, and with no
function of a library. So numpy, a GPU and a compiler come to the same bits. `rebound` takes them
elsewhere; `choose` is the whole of it, plainly, on one row.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.draws.operators import (
    from_bits,
    maximum,
    to_bits,
    to_float,
    to_int,
    to_long,
    where,
)

Row = npt.NDArray[np.float32]

UNIT_BITS = 40
"""A weight's unit is 2^-40 of the largest; 2^22 tokens have a sum below 2^62."""
LEAST_T = -64.0
"""Below it a weight is 0 as well."""
MASK = 0xFFFFFFFFFFFFFFFF
GOLDEN = 0x9E3779B97F4A7C15
LONGEST = 0x7FFFFFFFFFFFFFFF
SMALL = 0x2000000000000000
"""A quarter of 2^63."""
TICK = 4096
"""Of a power of two, in which typical-p counts surprises."""
LIGHT = 12
"""Bits of a weight that count for nothing in their mean. So a weight times its ticks is below 2^40,
since 2^t * -t is below 1, and 2^22 of them have a sum below 2^62."""
ROOT_HALF = 0x3F3504F3
"""The bits of a float32 just below sqrt(1/2)."""


def mixed(z: Any) -> Any:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014), of 64 bits."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def key_of(seed: Any, choice: Any, position: Any) -> Any:
    """64 bits of a draw's own; its arguments are of 64 bits, unsigned, or Python's integers."""
    z = mixed(seed & MASK)
    z = mixed((z + GOLDEN * (choice + 1)) & MASK)
    return mixed((z + GOLDEN * (position + 1)) & MASK)


def scattered(token: Any) -> Any:
    """A token's id (uint32) as 32 bits in which nothing of its order is left: MurmurHash3's
    finaliser. Of no draw, so it can be kept."""
    z = token + 0x9E3779B9
    z = (z ^ (z >> 16)) * 0x85EBCA6B
    z = (z ^ (z >> 13)) * 0xC2B2AE35
    return z ^ (z >> 16)


def word(token: Any, first: Any, second: Any) -> Any:
    """32 bits of noise of a scattered token, by the two halves of a draw's key (uint32).

    The key multiplies last: two tokens that differ in the highest bits alone, of which there are
    some in every vocabulary, are independent, too.
    """
    z = (token ^ first) * 0x85EBCA6B
    return (z ^ (z >> 16)) * (second | 1)


def log2_above(z: Any) -> Any:
    """log2(1 + z), for z from sqrt(1/2) - 1 to sqrt(2) - 1; of small z to the same number of
    digits as of others."""
    q = z * 0.1258370578289032 - 0.2072698175907135
    q = q * z + 0.21571561694145203
    q = q * z - 0.23894481360912323
    q = q * z + 0.28791624307632446
    q = q * z - 0.3607036769390106
    q = q * z + 0.48091062903404236
    q = q * z - 0.7213473320007324
    q = q * z + 1.4426950216293335
    return q * z


def log2(x: Any) -> Any:
    """log2 of a normal float32 above 0."""
    bits = to_bits(x)
    exponent = (bits - ROOT_HALF) >> 23
    z = from_bits(bits - (exponent << 23)) - 1.0
    return to_float(exponent) + log2_above(z)


def noise(token: Any, first: Any, second: Any) -> Any:
    """-log2(-log2(1 - v)), with v of 63 bits from the token's two words: from -6 to 63.

    Where v is small, 1 - v has lost its digits: there the logarithm is of v itself.
    """
    high, low = word(token, first, second), word(token, second, first)
    v = (to_long(high) << 31) | to_long(low >> 1) | 1  # odd: neither end is reached
    left = (LONGEST - v) + 1
    whole = log2(to_float(left) * 1.0842021724855044e-19)
    near = to_float(where(v < SMALL, v, 1)) * 1.0842021724855044e-19
    return -log2(-where(v < SMALL, log2_above(-near), whole))


def weight(t: Any) -> Any:
    """2^t for t up to 0, int64 in units of 2^-40."""
    t = maximum(t, LEAST_T)
    whole = to_int(t - 0.5)
    part = t - to_float(whole)
    q = part * 0.00015475900727324188 + 0.0013399614254012704
    q = q * part + 0.009618005715310574
    q = q * part + 0.055503301322460175
    q = q * part + 0.24022650718688965
    q = q * part + 0.6931471824645996
    q = q * part + 1.0
    return to_long(q * from_bits((whole + (127 + UNIT_BITS)) << 23))


def distance(logit: Any, largest: Any, scale: Any) -> Any:
    """t: from 0 down, at most -inf."""
    return (logit - largest) * scale


def score(t: Any, token: Any, first: Any, second: Any) -> Any:
    """What the tokens that are left are compared by; `token` is scattered."""
    return t + noise(token, first, second)


SHARED = (
    mixed, key_of, scattered, word, log2_above, log2, noise, weight, distance, score,
)  # fmt: skip
"""What runs everywhere as it stands here."""


@dataclass(frozen=True, slots=True)
class DrawRule:
    """How a row's token is drawn, in the numbers that backends compute with."""

    scale: float
    """log2(e) / temperature, a float32 above 0; 0: the largest is taken."""
    top_k: int
    """0 keeps all."""
    top_p: float
    """1 keeps all."""
    least: int
    """The least weight that min-p leaves; 0 leaves all."""
    typical: float = 1.0
    """1 keeps all."""

    @classmethod
    def of(
        cls, temperature: float, top_k: int, top_p: float, min_p: float, typical_p: float = 1.0
    ) -> "DrawRule":
        """From what a client says. A temperature so far from 1 that float32 cannot hold the scale
        has the last one that it can."""
        finest = np.finfo(np.float32)
        scale = 0.0
        if temperature:
            wanted = math.log2(math.e) / max(temperature, 1e-300)
            scale = float(np.float32(min(max(wanted, float(finest.tiny)), float(finest.max))))
        return cls(scale, top_k, top_p, math.ceil(min_p * 2.0**UNIT_BITS), typical_p)


def halves(key: int) -> tuple[np.uint32, np.uint32]:
    """A key as `word` takes it, the low half first."""
    return np.uint32(key & 0xFFFFFFFF), np.uint32(key >> 32)


def wanted(total: int, top_p: float) -> int:
    """Of so much weight, how much top-p keeps at least: one product in float64, cut to an integer,
    and never nothing."""
    return max(int(float(total) * top_p), 1)


def kept(row: Row, rule: DrawRule) -> npt.NDArray[np.int64]:
    """The ids that top-k, top-p, min-p and typical-p leave, in the order of the last of them."""
    order = np.argsort(-row, kind="stable")
    with np.errstate(over="ignore"):
        t = distance(row, row.max(), np.float32(rule.scale))
    weights = weight(t)[order]
    if rule.top_k:
        order, weights = order[: rule.top_k], weights[: rule.top_k]
    if rule.top_p < 1.0:
        enough = np.searchsorted(np.cumsum(weights), wanted(int(weights.sum()), rule.top_p)) + 1
        order, weights = order[:enough], weights[:enough]
    left: npt.NDArray[np.int64] = order[weights >= rule.least]
    if rule.typical < 1.0:
        left = left[typical(t[left], weights[weights >= rule.least], rule.typical)]
    return left


def typical(t: Row, weights: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """Places of the fewest, nearest to the mean first, that weigh at least this share."""
    ticks = -(np.maximum(t, np.float32(LEAST_T)) * np.float32(TICK)).astype(np.int64)
    light = weights >> LIGHT
    mean = int((light * ticks).sum()) // int(light.sum())
    order = np.argsort(np.abs(ticks - mean), kind="stable")
    sums = np.cumsum(weights[order])
    nearest: npt.NDArray[np.int64] = order[: np.searchsorted(sums, wanted(sums[-1], share)) + 1]
    return nearest


def choose(row: Row, rule: DrawRule, key: int) -> int | None:
    """The token that is drawn of a row, by the definition alone; None if it is not finite."""
    if not np.isfinite(row.max()):
        return None
    if rule.scale == 0.0:
        return int(row.argmax())
    ids = np.sort(kept(row, rule))
    with np.errstate(over="ignore"):
        t = distance(row[ids], row.max(), np.float32(rule.scale))
    return int(ids[score(t, scattered(ids.astype(np.uint32)), *halves(key)).argmax()])
