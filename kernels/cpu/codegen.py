"""A function of TIR to machine code."""

from collections.abc import Callable
from typing import Any

import tvm

from raylax.kernels.cpu.target import CPU
from raylax.kernels.errors import CompileError

OPTIONS = {
    # The work queue's guarded vector registers fail in it; nothing is lost without it.
    "tirx.disable_storage_rewrite": True,
    # They would look in every launch at what is known since the model was loaded
    # (`model.check_arrays`): two thirds of the machine code, a third of the compiler's time.
    "tirx.disable_assert": True,
}

# They find nothing to do here; and LLVM, which looks for common subexpressions itself, finds more
# of them where they have not been given names before. That is a third of the compiler's time.
USELESS_PASSES = [
    "s_tir.CompactBufferAllocation", "s_tir.HoistIfThenElse", "s_tir.InjectPermutedLayout",
    "tirx.CommonSubexprElim",
]  # fmt: skip


def compile_function(cpu: CPU, name: str, emit: Callable[[], Any]) -> Any:
    """`emit` gives the PrimFunc. Raises CompileError for what LLVM refuses on this target."""
    module = tvm.IRModule({name: emit().with_attr("global_symbol", name)})
    try:
        with tvm.transform.PassContext(config=OPTIONS, disabled_pass=USELESS_PASSES):
            return tvm.compile(module, target=cpu.tvm)
    except RuntimeError as error:
        raise CompileError(f"target {cpu.name}: {error}") from error
