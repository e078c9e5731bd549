"""What machine code holds, read without a GPU: by NVIDIA's tools, and in what it was made from."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from raylax.kernels.cuda.cubins.toolchain import said_by, tool

INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.x]*)", re.M)
USAGE = re.compile(r"\b(REG|STACK|LOCAL):(\d+)")
MATRIX = re.compile(r"(?:U?T?C?[A-Z]+MMA)\b.*")
LOCAL = re.compile(r"(LDL|STL)\b.*")
COPY = re.compile(r"LDGSTS\b.*")
LOAD = re.compile(r"LDG\b.*")
WAIT = "ACQBULK"
ACCESS = re.compile(rf"{WAIT}|(?:LDG|STG|LDGSTS|LD|ST|ATOM|ATOMG|RED|REDG|UTMA\w+|UBLK\w+)\b.*")
"""What reaches global memory, and what waits for who wrote there."""
LAYOUT = re.compile(r"^(#\w+) = (#\w+\.\w+<.*>)$", re.M)
SUM = re.compile(r'"tt\.(?:reduce|scan)"\((?:.|\n)*?\}\) : \((.*?)\) ->')
ADDS = re.compile(r"arith\.(addf|subf|mulf|divf)|math\.fma")
ATOMIC = re.compile(r"tt\.atomic_rmw fadd\b")
DOT = re.compile(r"\btt\.dot(?:_scaled)?\b.*")
TF32 = re.compile(r"inputPrecision = tf32 : tensor<\d+x\d+xf32\b")


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one kernel for one chip."""

    registers: int
    """Of a thread."""
    stack: int
    """Bytes of a thread's memory that is not in registers."""
    spills: int
    """Instructions that go there."""
    instructions: int
    matrix: dict[str, int] = field(default_factory=dict)
    """The matrix unit's instructions, and how often each stands there."""
    copies: dict[str, int] = field(default_factory=dict)
    """Those from global to shared memory that a thread does not wait for."""
    loads: dict[str, int] = field(default_factory=dict)
    """Those from global memory to registers."""
    waits: bool = False
    """Whether it waits for the kernel before it ahead of any access to global memory."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Of one kernel before it became machine code."""

    products: int
    """Products of tiles."""
    cut: int
    """Those of them whose floats are cut to 10 bits of fraction before."""
    float_sums: tuple[str, ...]
    """How what is summed across threads, in floats, lies on them: each is an order of summation."""
    float_atomics: int
    """Sums in memory, whose order is anybody's."""


def read(cubin: Path) -> Reading:
    """What NVIDIA's tools say of a file. Raises CompileError."""
    usage = said_by(tool("cuobjdump"), "-res-usage", str(cubin))
    return parsed(usage, said_by(tool("nvdisasm"), "-c", str(cubin)))


def parsed(usage: str, listing: str) -> Reading:
    """From what `cuobjdump -res-usage` and `nvdisasm -c` have written."""
    used = {name: int(value) for name, value in USAGE.findall(usage)}
    instructions = INSTRUCTION.findall(listing)
    counts = Counter(instructions)
    first = next((name for name in instructions if ACCESS.fullmatch(name)), None)

    def like(pattern: re.Pattern[str]) -> dict[str, int]:
        return {name: counts[name] for name in sorted(counts) if pattern.fullmatch(name)}

    return Reading(
        used["REG"],
        used["STACK"] + used["LOCAL"],
        sum(like(LOCAL).values()),
        counts.total(),
        like(MATRIX),
        like(COPY),
        like(LOAD),
        first == WAIT,
    )


def structure(ttir: str, ttgir: str) -> Structure:
    """From what Triton made on the way: before it knew threads, and after."""
    names = dict(LAYOUT.findall(ttgir))
    sums = {
        re.sub(r"#\w+(?=[>,\s}])", lambda m: names.get(m[0], m[0]), found[1])
        for found in SUM.finditer(ttgir)
        if ADDS.search(found[0])
    }
    products = DOT.findall(ttir)
    cut = sum(bool(TF32.search(product)) for product in products)
    return Structure(len(products), cut, tuple(sorted(sums)), len(ATOMIC.findall(ttgir)))
