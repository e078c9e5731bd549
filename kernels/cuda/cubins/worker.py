"""A process that compiles and judges, one variant after the other: `python -m` this.

It is told a job in a line of JSON, and answers with a line: the facts, or what is wrong. It ends
with its input, and with the thread that started it.
"""

import ctypes
import hashlib
import importlib
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raylax.kernels.cuda.cubins.chips import CHIPS, WARP, Chip
from raylax.kernels.cuda.cubins.facts import HIDDEN, Facts, file_of, made_of
from raylax.kernels.cuda.cubins.overlap import assemble, waiting
from raylax.kernels.cuda.cubins.reading import read, structure
from raylax.kernels.cuda.cubins.rules import broken
from raylax.kernels.cuda.cubins.source import module_of
from raylax.kernels.cuda.variants.base import Variant

PR_SET_PDEATHSIG = 1
MOST_REGISTERS = 255
"""Of a thread, on all chips."""
MOST_SAID = 300
"""Characters of what a compiler says of a mistake."""


def main() -> None:
    """Serve jobs until there are none. What the compiler prints goes to the standard error."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        answer = done(Variant(**job["variant"]), CHIPS[job["chip"]], Path(job["directory"]))
        print(json.dumps(answer), file=answers, flush=True)


def done(variant: Variant, chip: Chip, directory: Path) -> dict[str, Any]:
    """`facts`, or what is wrong as lines of `refused`."""
    try:
        facts = compiled(variant, chip, directory)
    except Exception as error:  # Triton's have no base of their own
        return {"refused": [f"{variant.name} for {chip.name}: {in_a_line(error)}"]}
    if wrong := broken(variant.name, chip, facts):
        return {"refused": wrong}
    return {"facts": asdict(facts)}


def compiled(variant: Variant, chip: Chip, directory: Path) -> Facts:
    """Writes the cubin into the directory. Raises what Triton raises, and CompileError.

    The assembler would rather spill a few registers than have room for a program less. Where it
    does, it is told to take as many as there are.
    """
    facts = assembled(variant, chip, directory, None)
    if facts.reading.spills:
        return assembled(variant, chip, directory, MOST_REGISTERS)
    return facts


def assembled(variant: Variant, chip: Chip, directory: Path, registers: int | None) -> Facts:
    """The same, with at most so many registers for a thread; None: as the assembler likes."""
    from raylax.kernels.cuda.cubins.compiler import machine_code

    kernel = getattr(
        importlib.import_module(module_of(variant.kernel)), variant.kernel.partition(":")[2]
    )
    symbol = f"raylax_{variant.name}"
    asm, data = machine_code(
        kernel,
        symbol,
        chip.number,
        variant.types,
        variant.constants,
        variant.aligned,
        variant.warps,
        variant.stages,
        registers,
    )
    path = file_of(directory, variant.name)
    if variant.overlapped:
        assemble(waiting(asm["ptx"]), chip, path)
    else:
        path.write_bytes(asm["cubin"])
    return Facts(
        made_of(variant, chip),
        variant.kernel,
        data.name,
        (*variant.types.values(), *HIDDEN),
        tuple(variant.types),
        dict(variant.constants),
        data.num_warps * WARP,
        data.shared,
        data.global_scratch_size + data.profile_scratch_size,
        data.tmem_size or 0,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        read(path),
        structure(asm["ttir"], asm["ttgir"]),
        variant.overlapped,
    )


def in_a_line(error: Exception) -> str:
    """What went wrong, without the source that it shows."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[-MOST_SAID:]}"


if __name__ == "__main__":
    main()
