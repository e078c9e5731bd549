"""What the compiler may use: this CPU, or one named by the user."""

import platform
from dataclasses import dataclass

import tvm
from tvm.target import codegen


@dataclass(frozen=True)
class CPU:
    """A compilation target and the features that choose between code paths."""

    name: str
    native_bf16: bool
    pause: str
    """The instruction of a spinning thread; empty where we know none."""

    @property
    def tvm(self) -> tvm.target.Target:
        return tvm.target.Target({"kind": "llvm", "mcpu": self.name})


def cpu(name: str | None = None) -> CPU:
    """`name` as LLVM's -mcpu, for instance x86-64-v3; None: the CPU that runs this."""
    name = name or str(codegen.llvm_get_system_cpu())
    target = tvm.target.Target({"kind": "llvm", "mcpu": name})
    x86 = platform.machine() in ("x86_64", "AMD64")
    native = x86 and bool(codegen.target_has_features(["avx512bf16"], target))
    return CPU(name, native, "pause" if x86 else "yield")
