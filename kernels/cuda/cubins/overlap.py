"""Kernels that may be started before the one ahead of them has ended (CUDA's programmatic dependent
launch, from sm_90 on): what starting costs is hidden behind what still runs.

Each waits at its very beginning, before it reads anything, until all that went before is done and
can be seen (PTX ISA, `griddepcontrol`). It is put into the assembler's text: sources know nothing
of it, and what a kernel computes is the same.
"""

import re
from pathlib import Path

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.cubins.toolchain import ptxas, said_by
from raylax.kernels.errors import CompileError

LEAST = 90
"""The first chip that can."""
ENTRY = re.compile(r"(\.entry\b[^{]*\{\n)")
WAIT = r"\1\tgriddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;\n"
"""The next one may begin, and waits, as soon as all programs of this one have begun."""
OPTIONS = ("-lineinfo", "-suppress-debug-info", "--fmad=false", "--regAllocOptLevel=2")
"""As Triton gives them to its assembler."""


def waiting(ptx: str) -> str:
    """The text of a kernel that waits first. Raises CompileError where it has no beginning."""
    changed, count = ENTRY.subn(WAIT, ptx)
    if count != 1:
        raise CompileError(f"a kernel's text must have one entry, found {count}")
    return changed


def assemble(ptx: str, chip: Chip, cubin: Path) -> None:
    """Machine code of a text. Raises CompileError."""
    target = re.search(r"^\.target (\w+)", ptx, re.M)
    assert target
    text = cubin.with_suffix(".ptx")
    text.write_text(ptx)
    try:
        said_by(ptxas(chip), *OPTIONS, f"--gpu-name={target[1]}", str(text), "-o", str(cubin))
    finally:
        text.unlink()
