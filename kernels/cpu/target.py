"""What the compiler may use: this CPU, or one named by the user, of this architecture or another.

LLVM knows what a CPU of some name has. A virtual machine may hide some of it, which the name does
not tell, so Linux is asked too.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import tvm
from tvm.target import codegen

from raylax.kernels.errors import CompileError

PAUSE = {"x86_64": "pause", "aarch64": "yield"}
"""Architectures that the kernels know, and the instruction of a thread that spins."""

FEATURES = {
    "x86_64": (
        "sse4.2", "avx", "avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "gfni", "avxvnni",
        "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512ifma", "avx512vbmi",
        "avx512vbmi2", "avx512bitalg", "avx512vpopcntdq", "avx512vnni", "avx512bf16", "avx512fp16",
    ),
    "aarch64": ("neon", "lse", "fullfp16", "dotprod", "i8mm", "bf16", "sve", "sve2"),
}  # fmt: skip
"""Instruction sets that the kernels choose, or that LLVM takes by itself."""

FLAGS = {
    "bmi": "bmi1",
    "lzcnt": "abm",
    "neon": "asimd",
    "lse": "atomics",
    "fullfp16": "asimdhp",
    "dotprod": "asimddp",
}
"""What Linux calls them, dots and underscores aside, where it has another name."""

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class CPU:
    """A compilation target."""

    name: str
    """The CPU as LLVM's -mcpu names it."""
    triple: str
    """The platform as LLVM's -mtriple names it: architecture, vendor, system."""
    features: tuple[str, ...]
    """Those of FEATURES that it has."""
    without: tuple[str, ...] = ()
    """Those that a CPU of this name has, and this machine does not show."""

    def has(self, feature: str) -> bool:
        """Whether an instruction set is there, by LLVM's name for it."""
        return feature in self.features

    @property
    def architecture(self) -> str:
        """x86_64 or aarch64."""
        return architecture_of(self.triple)

    @property
    def fast_bf16(self) -> bool:
        """Whether VDPBF16PS, which rounds like two fmas, is faster than these. On AMD's it is, on
        Intel's it takes two to three times as long (`bench/engines/roofline.c`). BFDOT of aarch64
        rounds otherwise, so it is left out (law 1)."""
        return self.has("avx512bf16") and self.name.startswith("znver")

    @property
    def native_f16(self) -> bool:
        """Whether it widens f16 to f32 itself."""
        return self.has("f16c") or self.architecture == "aarch64"

    @property
    def registers(self) -> int:
        """How many vectors of 16 floats fit into the register file."""
        if self.architecture == "aarch64":
            return 8
        return 32 if self.has("avx512f") else 8 if self.has("avx") else 4

    @property
    def pause(self) -> str:
        """The instruction of a thread that spins."""
        return PAUSE[self.architecture]

    @property
    def tvm(self) -> tvm.target.Target:
        """The target as TVM's compiler takes it."""
        return target(self.name, self.triple, self.without)


def cpu(name: str | None = None) -> CPU:
    """A target by LLVM's -mcpu, for instance x86-64-v3 or neoverse-n1; None: the CPU that runs
    this.

    `aarch64` is the least of that architecture, as `x86-64` is of the other. Raises CompileError
    for a name that LLVM does not know: it would build for the least of all.
    """
    host = str(codegen.llvm_get_system_triple())
    if (own := architecture_of(host)) not in PAUSE:
        raise CompileError(f"the kernels run on {' and '.join(PAUSE)}, this machine is {own}")
    if name is None:
        return this_cpu()
    triples = {arch: host if arch == own else f"{arch}-unknown-linux-gnu" for arch in PAUSE}
    if name == "aarch64":
        return named("generic", triples[name])
    for arch in sorted(PAUSE, key=lambda arch: arch != own):  # `generic` is ours
        if codegen.llvm_is_valid_cpu(name, triples[arch]):
            return named(name, triples[arch])
    lists = (codegen.llvm_get_cpu_archlist(target("generic", one)) for one in triples.values())
    near = get_close_matches(name, {str(known) for names in lists for known in names}, 3)
    example = ", ".join(near) or "x86-64-v3, neoverse-n1"
    raise CompileError(f"target {name!r} is not a CPU that LLVM knows, as for instance {example}")


@cache
def this_cpu() -> CPU:
    """The CPU that runs this, by its name, less what is hidden from us."""
    name, triple = str(codegen.llvm_get_system_cpu()), str(codegen.llvm_get_system_triple())
    shown = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    return named(name, triple, hidden(named(name, triple).features, shown))


def missing_here(wanted: CPU) -> list[str]:
    """What this machine lacks to run code for a CPU; empty: it runs."""
    here = this_cpu()
    if wanted.architecture != here.architecture:
        return [wanted.architecture]
    return [feature for feature in wanted.features if not here.has(feature)]


def lacking_here(wanted: CPU) -> str:
    """Why its code would end in a load error, or an illegal instruction; empty: it runs."""
    if missing := missing_here(wanted):
        return (
            f"target {wanted.name} needs {', '.join(missing)}, which this machine lacks: "
            "it can be compiled for, not run here"
        )
    return ""


def named(name: str, triple: str, without: tuple[str, ...] = ()) -> CPU:
    """A CPU by names that LLVM knows, less the features it is to do without."""
    found = codegen.llvm_get_cpu_features(target(name, triple, without))
    features = (one for one in FEATURES[architecture_of(triple)] if one in found)
    return CPU(name, triple, tuple(features), without)


def target(name: str, triple: str, without: tuple[str, ...] = ()) -> tvm.target.Target:
    """TVM's target for LLVM's names, less some features."""
    less = [f"-{feature}" for feature in without]
    return tvm.target.Target({"kind": "llvm", "mcpu": name, "mtriple": triple, "mattr": less})


def architecture_of(triple: str) -> str:
    """The architecture that a triple begins with, by one of its names."""
    first = triple.split("-")[0]
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(first, first)


def hidden(features: tuple[str, ...], cpu_info: str) -> tuple[str, ...]:
    """The features that Linux does not list in `cpu_info`; none where it lists nothing."""
    listed = re.search(r"^(?:flags|Features)\s*:(.*)", cpu_info, re.MULTILINE)
    shown = {bare(flag) for flag in listed[1].split()} if listed else set()
    return tuple(one for one in features if shown and FLAGS.get(one, bare(one)) not in shown)


def bare(flag: str) -> str:
    """The name of an instruction set without what is written in several ways."""
    return flag.replace("_", "").replace(".", "")
