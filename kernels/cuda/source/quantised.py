"""Products with weights of 4 or 8 bits, each group of consecutive inputs with a scale.

A weight becomes a number of the activations' own precision, bf16 or f16, rounded once, before the
matrix unit sees it. So a product equals that of `matmul.py` with the dequantised weights bit for
bit, whatever the format, and a large batch may `dequantise` a matrix once and take the other one.

Planes: a block of 128 inputs is WORDS int32, and word i holds in digit j the weight of the input
j * WORDS + i of the block. A plane, all digits j, then is a tile of weights of WORDS consecutive
inputs, and nothing is shuffled. One scale serves SPAN planes: a group has WORDS * SPAN inputs. Rows
of words are padded to whole blocks; activations there count as zeros. Scales are [groups, rows].

FLOAT: digits of 8 bits are fp8 e4m3 without its infinities, else two's complement; those of 4 bits
are e2m1 (https://arxiv.org/abs/2310.10537), else they count from `zero`. All of it is made of
integers and at most one product that rounds, so that no chip needs a conversion of its own.
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.matmul import biases, finish, place, rows, silu


@triton.jit
def bits(whole, like):
    """A number of `like`'s type from its bits."""
    return whole.to(tl.int16).to(like.dtype, bitcast=True)


@triton.jit
def weights(
    words, scale, zero, J: tl.constexpr, BITS: tl.constexpr, FLOAT: tl.constexpr
):  # fmt: skip
    """Plane J of words as weights.

    Of a number between 2^p and 2^(p+1), p mantissa bits, the last one weighs 1: bf16's 0x4300 is
    128, f16's 0x6400 is 1024, and a digit in their low bits is added to it.
    """
    SHORT: tl.constexpr = scale.dtype == tl.bfloat16
    ONES: tl.constexpr = 0x4300 if SHORT else 0x6400
    code = words >> (BITS * J)
    if BITS == 4 and FLOAT:  # exact, and so is what a power of two makes of it
        TO_ONE: tl.constexpr = 2.0**126 if SHORT else 2.0**14
        BEHIND: tl.constexpr = 6 if SHORT else 9
        return bits((code & 8) << 12 | (code & 7) << BEHIND, scale) * TO_ONE * scale
    if BITS == 4:
        return (bits(code & 15 | ONES, scale) - bits(zero | ONES, scale)) * scale
    if FLOAT:  # its exponent in ours is too small by the difference of the biases
        LIFT: tl.constexpr = 2.0**120 if SHORT else 2.0**8
        PLACE: tl.constexpr = 4 if SHORT else 7
        whole = bits((code & 128) << 8 | (code & 127) << PLACE, scale)
        return whole * (scale * LIFT)
    if SHORT:  # 7 bits and what the sign takes away: 128 is 0x4300, and 256 is 0x4380
        return (bits(code & 127 | ONES, scale) - bits(code & 128 | ONES, scale)) * scale
    return (bits(code & 255 ^ 128 | ONES, scale) - 1152.0) * scale


@triton.jit
def linear_q(
    x, words, scales, bias, y, tokens, features, depth, segments, zero,
    BM: tl.constexpr, BN: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr,
    BITS: tl.constexpr, FLOAT: tl.constexpr, GROUP: tl.constexpr, WALK: tl.constexpr,
):  # fmt: skip
    """As `linear`; of several segments, each is a multiple of a block."""
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, i = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, WORDS)
    PLANES: tl.constexpr = 32 // BITS
    row = rows(n, features)
    xs = x + m.to(tl.int64)[None, :] * depth + i[:, None]
    packed = words + row[:, None] * (tl.cdiv(depth, WORDS * PLANES) * WORDS) + i[None, :]
    here = (m < tokens)[None, :]
    own = tl.program_id(1)
    part = tl.multiple_of(depth // segments, 16)
    total = tl.zeros((BN, BM), tl.float32)
    if WALK:
        total += biases(bias, n, features, own)
    for segment in range(own, segments if WALK else own + 1):
        start = tl.multiple_of(segment * part, 16)
        own_sum = tl.zeros((BN, BM), tl.float32)
        for at in range(start, start + part, WORDS * PLANES):
            word = tl.load(packed + tl.multiple_of(at // PLANES, WORDS))
            for j in tl.static_range(PLANES):
                group = at // (WORDS * SPAN) + j // SPAN
                scale = tl.load(scales + group.to(tl.int64) * features + row)
                mask = here & (i < start + part - at - j * WORDS)[:, None]
                value = tl.load(xs + at + j * WORDS, mask=mask, other=0.0)
                w = weights(word, scale[:, None], zero, j, BITS, FLOAT)
                own_sum = tl.dot(w, value, own_sum)
        total += own_sum
    if not WALK:
        total += biases(bias, n, features, own)
    finish(y + own.to(tl.int64) * tokens * features, total, m, n, tokens, features)


@triton.jit
def gated_q(
    x, words, scales, y, tokens, features, depth, zero,
    BM: tl.constexpr, BN: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr,
    BITS: tl.constexpr, FLOAT: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """As `gated`: the rows of gate, then those of up, in one matrix."""
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, i = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, WORDS)
    PLANES: tl.constexpr = 32 // BITS
    row = rows(n, features)
    width = tl.cdiv(depth, WORDS * PLANES) * WORDS
    xs = x + m.to(tl.int64)[None, :] * depth + i[:, None]
    gates = words + row[:, None] * width + i[None, :]
    ups = gates + features.to(tl.int64) * width
    here = (m < tokens)[None, :]
    gate = tl.zeros((BN, BM), tl.float32)
    up = tl.zeros((BN, BM), tl.float32)
    for at in range(0, depth, WORDS * PLANES):
        gate_word = tl.load(gates + tl.multiple_of(at // PLANES, WORDS))
        up_word = tl.load(ups + tl.multiple_of(at // PLANES, WORDS))
        for j in tl.static_range(PLANES):
            group = at // (WORDS * SPAN) + j // SPAN
            scaled = scales + group.to(tl.int64) * (2 * features) + row
            mask = here & (i < depth - at - j * WORDS)[:, None]
            value = tl.load(xs + at + j * WORDS, mask=mask, other=0.0)
            w = weights(gate_word, tl.load(scaled)[:, None], zero, j, BITS, FLOAT)
            gate = tl.dot(w, value, gate)
            w = weights(up_word, tl.load(scaled + features)[:, None], zero, j, BITS, FLOAT)
            up = tl.dot(w, value, up)
    finish(y, silu(gate) * up, m, n, tokens, features)


@triton.jit
def dequantise(
    words, scales, w, features, depth, zero,
    BN: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr, BITS: tl.constexpr,
    FLOAT: tl.constexpr,
):  # fmt: skip
    """w[features, depth]: what the products multiply. Grid: (tiles of rows, blocks)."""
    n, i = tl.program_id(0) * BN + tl.arange(0, BN), tl.arange(0, WORDS)
    PLANES: tl.constexpr = 32 // BITS
    row, block = rows(n, features), tl.program_id(1)
    word = tl.load(words + (row[:, None] * tl.cdiv(depth, WORDS * PLANES) + block) * WORDS + i)
    for j in tl.static_range(PLANES):
        group = block * (PLANES // SPAN) + j // SPAN
        scale = tl.load(scales + group.to(tl.int64) * features + row)
        k = (block * PLANES + j) * WORDS + i
        here = (n < features)[:, None] & (k < depth)[None, :]
        value = weights(word, scale[:, None], zero, j, BITS, FLOAT)
        tl.store(w + row[:, None] * depth + k[None, :], value, mask=here)
