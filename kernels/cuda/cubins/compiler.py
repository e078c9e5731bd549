"""One kernel to machine code, by Triton: in processes that do nothing else (`workers.py`).

The text of this file is part of what names machine code (`facts.made_of`), so it has no other
concern and imports nothing of ours.
"""

from collections.abc import Collection, Mapping
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

WARP = 32


def machine_code(
    kernel: Any,
    symbol: str,
    chip: int,
    types: Mapping[str, str],
    constants: Mapping[str, int | bool],
    aligned: Collection[str],
    warps: int,
    stages: int,
    registers: int | None = None,
) -> tuple[Mapping[str, Any], Any]:
    """What Triton made by kind (ttir, ttgir, ptx, cubin), and its metadata.

    `types` are those of the run-time arguments; `aligned` are whole numbers that are multiples of
    16, which pointers always are; `registers`: the most that a thread may have, else the assembler
    says. Raises what Triton raises.
    """
    if set(kernel.arg_names) != {*types, *constants} or types.keys() & constants.keys():
        given = f"{', '.join(types)}; {', '.join(constants)}"
        raise ValueError(f"takes {', '.join(kernel.arg_names)}; given are {given}")
    if (order := [name for name in kernel.arg_names if name in types]) != list(types):
        raise ValueError(f"takes its arguments in the order {', '.join(order)}")
    kinds = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    attributes = {
        (i,): [["tt.divisibility", 16]]
        for i, (name, kind) in enumerate(kinds.items())
        if kind.startswith("*") or name in aligned
    }
    kernel._repr = lambda _: symbol
    triton.knobs.compilation.disable_line_info = True  # the same bytes wherever the source lies
    made = triton.compile(
        ASTSource(kernel, kinds, dict(constants), attributes),
        target=GPUTarget("cuda", chip, WARP),
        options={
            "num_warps": warps,
            "num_stages": stages,
            "enable_fp_fusion": False,
            "maxnreg": registers,
        },
    )
    return made.asm, made.metadata
