"""LLVM IR of the instructions for integers that TVM cannot express, as functions of 16 lanes.

A narrower instruction is called for each part of the lanes. Once inlined, cutting costs nothing.
"""

from collections.abc import Sequence


def lane_list(span: Sequence[int]) -> str:
    """Lanes as the mask of LLVM's shufflevector."""
    return ", ".join(f"i32 {lane}" for lane in span)


def by_parts(name: str, count: int, lanes: int) -> str:
    """A function of `count` vectors by its namesake, NAME_8 of 8 lanes or NAME_4 of 4."""
    part, parts = f"<{lanes} x i32>", 16 // lanes
    args = ", ".join(f"<16 x i32> %a{i}" for i in range(count))
    lines = [f"define <16 x i32> @{name}({args}) alwaysinline {{"]
    for p in range(parts):
        span = f"<{lanes} x i32> <{lane_list(range(p * lanes, (p + 1) * lanes))}>"
        lines += [
            f"  %a{i}_{p} = shufflevector <16 x i32> %a{i}, <16 x i32> %a{i}, {span}"
            for i in range(count)
        ]
        cut = ", ".join(f"{part} %a{i}_{p}" for i in range(count))
        lines.append(f"  %r{p}_{lanes} = call {part} @{name}_{lanes}({cut})")
    while lanes < 16:
        lanes *= 2
        whole = f"<{lanes} x i32> <{lane_list(range(lanes))}>"
        for p in range(16 // lanes):
            two = ", ".join(f"<{lanes // 2} x i32> %r{q}_{lanes // 2}" for q in (2 * p, 2 * p + 1))
            lines.append(f"  %r{p}_{lanes} = shufflevector {two}, {whole}")
    return "\n".join([*lines, "  ret <16 x i32> %r0_16", "}", ""])


def quad_dot(instruction: str, lanes: int) -> str:
    """raylax_dot(totals, a, b): four products of bytes in a lane, added to its total."""
    name = "raylax_dot" if lanes == 16 else f"raylax_dot_{lanes}"
    words, quads = f"<{lanes} x i32>", f"<{lanes * 4} x i8>"
    code = f"""
declare {words} @{instruction}({words}, {quads}, {quads})
define {words} @{name}({words} %c, {words} %a, {words} %b) alwaysinline {{
  %x = bitcast {words} %a to {quads}
  %y = bitcast {words} %b to {quads}
  %r = call {words} @{instruction}({words} %c, {quads} %x, {quads} %y)
  ret {words} %r
}}
"""
    return code if lanes == 16 else code + by_parts("raylax_dot", 3, lanes)


# Unsigned bytes by signed ones, and last signed ones by signed ones.
VNNI_512 = quad_dot("llvm.x86.avx512.vpdpbusd.512", 16)
VNNI_256 = quad_dot("llvm.x86.avx512.vpdpbusd.256", 8)
USDOT = quad_dot("llvm.aarch64.neon.usdot.v4i32.v16i8", 4)
SDOT = quad_dot("llvm.aarch64.neon.sdot.v4i32.v16i8", 4)


def lookup(instruction: str, lanes: int, table: Sequence[int]) -> str:
    """raylax_lookup(bytes): for each of them, below 16, its number in a table."""
    name = "raylax_lookup" if lanes == 16 else f"raylax_lookup_{lanes}"
    words, quads = f"<{lanes} x i32>", f"<{lanes * 4} x i8>"
    numbers = ", ".join(f"i8 {one}" for one in [*table] * (lanes // 4))
    code = f"""
declare {quads} @{instruction}({quads}, {quads})
define {words} @{name}({words} %a) alwaysinline {{
  %x = bitcast {words} %a to {quads}
  %y = call {quads} @{instruction}({quads} <{numbers}>, {quads} %x)
  %r = bitcast {quads} %y to {words}
  ret {words} %r
}}
"""
    return code if lanes == 16 else code + by_parts("raylax_lookup", 1, lanes)


LOOKUPS = {
    "avx512bw": ("llvm.x86.avx512.pshuf.b.512", 16),
    "avx2": ("llvm.x86.avx2.pshuf.b", 8),
    "neon": ("llvm.aarch64.neon.tbl1.v16i8", 4),
}
"""Instructions that look bytes up in a table of 16, by what a CPU has, and their lanes."""

# The addition is opaque: LLVM would reorder sums, and keep a whole group's operands for it.
AVX2_IR = (
    """
declare <8 x i32> @llvm.x86.avx2.pmadd.wd(<16 x i16>, <16 x i16>)
declare <16 x i16> @llvm.x86.avx2.pmadd.ub.sw(<32 x i8>, <32 x i8>)
define <8 x i32> @raylax_madd_8(<8 x i32> %c, <8 x i32> %a, <8 x i32> %b) alwaysinline {
  %x = bitcast <8 x i32> %a to <16 x i16>
  %y = bitcast <8 x i32> %b to <16 x i16>
  %p = call <8 x i32> @llvm.x86.avx2.pmadd.wd(<16 x i16> %x, <16 x i16> %y)
  %r = call <8 x i32> asm "vpaddd $2, $1, $0", "=x,x,x"(<8 x i32> %c, <8 x i32> %p)
  ret <8 x i32> %r
}
define <8 x i32> @raylax_maddubs_8(<8 x i32> %c, <8 x i32> %a, <8 x i32> %b) alwaysinline {
  %x = bitcast <8 x i32> %a to <32 x i8>
  %y = bitcast <8 x i32> %b to <32 x i8>
  %p = call <16 x i16> @llvm.x86.avx2.pmadd.ub.sw(<32 x i8> %x, <32 x i8> %y)
  %r = call <8 x i32> asm "vpaddw $2, $1, $0", "=x,x,x"(<8 x i32> %c, <16 x i16> %p)
  ret <8 x i32> %r
}
"""
    + by_parts("raylax_madd", 3, 8)
    + by_parts("raylax_maddubs", 3, 8)
)

# Where no instruction is known LLVM finds one, or does without.
PLAIN_IR = f"""
define <16 x i32> @raylax_madd(<16 x i32> %c, <16 x i32> %a, <16 x i32> %b) alwaysinline {{
  %a16 = bitcast <16 x i32> %a to <32 x i16>
  %b16 = bitcast <16 x i32> %b to <32 x i16>
  %x = sext <32 x i16> %a16 to <32 x i32>
  %y = sext <32 x i16> %b16 to <32 x i32>
  %p = mul <32 x i32> %x, %y
  %even = shufflevector <32 x i32> %p, <32 x i32> %p, <16 x i32> <{lane_list(range(0, 32, 2))}>
  %odd = shufflevector <32 x i32> %p, <32 x i32> %p, <16 x i32> <{lane_list(range(1, 32, 2))}>
  %s = add <16 x i32> %even, %odd
  %r = add <16 x i32> %c, %s
  ret <16 x i32> %r
}}
"""

# AVX-512 without VNNI. The addition is opaque to LLVM, as that of AVX2 is.
AVX512_IR = """
declare <16 x i32> @llvm.x86.avx512.pmaddw.d.512(<32 x i16>, <32 x i16>)
declare <32 x i16> @llvm.x86.avx512.pmaddubs.w.512(<64 x i8>, <64 x i8>)
define <16 x i32> @raylax_madd(<16 x i32> %c, <16 x i32> %a, <16 x i32> %b) alwaysinline {
  %x = bitcast <16 x i32> %a to <32 x i16>
  %y = bitcast <16 x i32> %b to <32 x i16>
  %p = call <16 x i32> @llvm.x86.avx512.pmaddw.d.512(<32 x i16> %x, <32 x i16> %y)
  %r = call <16 x i32> asm "vpaddd $2, $1, $0", "=v,v,v"(<16 x i32> %c, <16 x i32> %p)
  ret <16 x i32> %r
}
define <16 x i32> @raylax_maddubs(<16 x i32> %c, <16 x i32> %a, <16 x i32> %b) alwaysinline {
  %x = bitcast <16 x i32> %a to <64 x i8>
  %y = bitcast <16 x i32> %b to <64 x i8>
  %p = call <32 x i16> @llvm.x86.avx512.pmaddubs.w.512(<64 x i8> %x, <64 x i8> %y)
  %r = call <16 x i32> asm "vpaddw $2, $1, $0", "=v,v,v"(<16 x i32> %c, <32 x i16> %p)
  ret <16 x i32> %r
}
"""
