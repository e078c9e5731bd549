"""Keys and values as bytes: how they are rounded, and what they stand for.

Done with whole numbers on every chip, whether or not it has instructions for 8-bit floats: so there
is one definition, and a CPU can check it. See `kernels/cuda/pages.py` for how they lie.
"""

import triton
import triton.language as tl

INT8, FP8 = tl.constexpr(1), tl.constexpr(2)
"""Values of `KV`; 0 is the model's own precision."""
ROUND = tl.constexpr(12582912.0)
"""1.5 * 2^23: what is added to it is rounded to a whole number, ties to even."""


@triton.jit
def step_of(largest, KV: tl.constexpr):
    """The scale of a vector by its largest magnitude, and what its numbers are multiplied with.
    Vectors below about 1e-36 are zeros: no float32 is the inverse of their scale."""
    step = largest * (1.0 / 127.0 if KV == INT8 else 1.0 / 448.0)
    inverse = tl.div_rn(1.0, tl.where(step > 1e-38, step, 1.0))
    return step, tl.where(step > 1e-38, inverse, 0.0)


@triton.jit
def encode(x, KV: tl.constexpr):
    """Scaled numbers as bytes, to nearest, ties to even."""
    if KV == INT8:
        return ((x + ROUND).to(tl.int32, bitcast=True) - 0x4B400000).to(tl.int8)
    bits = x.to(tl.int32, bitcast=True)
    size = bits & 0x7FFFFFFF
    normal = ((size + 0x7FFFF + (size >> 20 & 1)) >> 20) - 960  # 7 is the bias, not 127
    small = (tl.abs(x) * 512.0 + ROUND).to(tl.int32, bitcast=True) - 0x4B400000
    return (tl.where(size < 0x3C800000, small, normal) | (bits >> 24 & 0x80)).to(tl.int8)


@triton.jit
def decode(codes, KV: tl.constexpr, kind: tl.constexpr):
    """Bytes as what they stand for before their scale: bf16 and f16 hold all of these exactly."""
    if KV == INT8:
        value = codes.to(tl.float32).to(kind)
    else:
        bits = codes.to(tl.int16)  # the sign is extended to where it belongs
        if kind == tl.float16:
            value = ((bits & 0x7F) << 7 | bits & -0x8000).to(tl.float16, bitcast=True) * 256.0
        else:
            value = ((bits & 0x7F) << 4 | bits & -0x8000).to(tl.bfloat16, bitcast=True)
            value = (value.to(tl.float32) * 1.329227995784916e36).to(tl.bfloat16)  # 2^120
    return value  # one return: the compiler looks at what follows another, and wants one type
