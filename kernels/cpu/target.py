"""What the compiler may use: this CPU, or one named by the user."""

import platform
from dataclasses import dataclass
from difflib import get_close_matches

import tvm
from tvm.target import codegen

from raylax.kernels.errors import CompileError


@dataclass(frozen=True)
class CPU:
    """A compilation target and the features that choose between code paths."""

    name: str
    native_bf16: bool
    registers: int
    """Vectors of 16 floats that fit into the register file."""
    vnni: bool
    """Dot products of bytes in vectors of 512 bits."""
    avx2: bool
    pause: str
    """The instruction of a spinning thread; empty where we know none."""

    @property
    def tvm(self) -> tvm.target.Target:
        return tvm.target.Target({"kind": "llvm", "mcpu": self.name})


def cpu(name: str | None = None) -> CPU:
    """`name` as LLVM's -mcpu, for instance x86-64-v3; None: the CPU that runs this.

    Raises CompileError for a name that LLVM does not know: it would build for the least of all.
    """
    known = {str(one) for one in codegen.llvm_get_cpu_archlist(tvm.target.Target("llvm"))}
    if name is not None and name not in known:
        near = ", ".join(get_close_matches(name, known, 3)) or "x86-64-v3"
        raise CompileError(f"target {name!r} is not a CPU that LLVM knows, as for instance {near}")
    name = name or str(codegen.llvm_get_system_cpu())
    target = tvm.target.Target({"kind": "llvm", "mcpu": name})

    def has(feature: str) -> bool:
        return bool(codegen.target_has_features([feature], target))

    if platform.machine() not in ("x86_64", "AMD64"):
        return CPU(name, False, 8, False, False, pause="yield")
    registers = 32 if has("avx512f") else 8 if has("avx") else 4
    return CPU(name, has("avx512bf16"), registers, has("avx512vnni"), has("avx2"), pause="pause")
