"""From a graph to what TVM's virtual machine runs, by passes that are named here one by one."""

from collections.abc import Sequence
from typing import Any

import tvm
from tvm import relax as rx
from tvm.s_tir import dlight as dl

NO_TENSOR_CORES = tvm.target.Target(
    {"kind": "cuda", "arch": "sm_61", "max_threads_per_block": 1024, "thread_warp_size": 32}
)


class PlainMatmul(dl.gpu.Matmul):  # type: ignore[misc]
    """TVM's schedule on tensor cores ends the compiler with a segmentation fault: it is told of a
    chip that has none. A row's sum goes upwards over K whatever the batch (law 1)."""

    def apply(self, func: Any, target: Any, tunable: bool) -> Any:
        return super().apply(func, NO_TENSOR_CORES, tunable)


GPU_RULES = (
    PlainMatmul(), dl.gpu.Reduction(), dl.gpu.GeneralReduction(), dl.gpu.Fallback(),
)  # fmt: skip
"""The first one that fits a function schedules it."""


def pipeline(rules: Sequence[Any]) -> Any:
    """Without rules each function is one thread's loops, as LLVM takes them."""
    t = rx.transform
    fuse = [
        t.FuseTransposeMatmul(), t.LegalizeOps(), t.AnnotateTIROpPattern(), t.FoldConstant(),
        t.FuseOps(), t.FuseTIR(), t.DeadCodeElimination(),
    ]  # fmt: skip
    schedule = [dl.ApplyDefaultSchedule(*rules)] if rules else []
    lower = [
        t.RewriteDataflowReshape(), t.ToNonDataflow(), t.RemovePurityChecking(),
        t.CallTIRRewrite(), t.StaticPlanBlockMemory(), t.LowerAllocTensor(),
        t.KillAfterLastUse(), t.LowerRuntimeBuiltin(), t.ComputePrimValue(), t.VMShapeLower(),
        t.AttachGlobalSymbol(),
    ]  # fmt: skip
    return tvm.transform.Sequential([*fuse, *schedule, *lower])
