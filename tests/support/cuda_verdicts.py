"""What the machine code of all kernels came to on all chips: `scripts/verdicts` compiles what has
changed and writes it down, a file for each chip, and tests compare it with the sources.

    python -m tests.support.cuda_verdicts [sm_90 ...]

The whole table takes minutes for a chip, so the tests do not compile it. What is written is what
was read in the machine code, and of which source it was made (`facts.made_of`).
"""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raylax.kernels.cuda.cubins.chips import CHIPS, Chip, chip_named
from raylax.kernels.cuda.cubins.facts import Facts, made_of
from raylax.kernels.cuda.cubins.rules import broken_together
from raylax.kernels.cuda.cubins.toolchain import OTHER_PTXAS, versions
from raylax.kernels.cuda.cubins.workers import compile_all
from raylax.kernels.cuda.variants.base import Variant
from tests.support.cuda_models import shipped
from tests.support.paths import ROOT

VERDICTS = ROOT / "tests" / "kernels" / "cuda" / "cubins" / "verdicts"
KEPT = (
    "made_of", "kernel", "threads", "shared", "scratch", "columns", "reading", "structure"
)  # fmt: skip
UNSAID: dict[str, Any] = {"symbol": "", "types": (), "names": (), "constants": {}, "sha256": ""}
"""What of the facts is not written: it follows from the variant, or is nobody's concern here."""


def verdict(chip: Chip) -> dict[str, Any]:
    """What is written of a chip: the compiler's versions, and the facts by kernel."""
    path = path_of(chip)
    return dict(json.loads(path.read_text())) if path.exists() else {"kernels": {}}


def path_of(chip: Chip) -> Path:
    """Where it is written."""
    return VERDICTS / f"{chip.name}.json"


def facts_in(found: dict[str, Any]) -> dict[str, Facts]:
    """The facts of a verdict, by variant."""
    return {name: Facts.of({**UNSAID, **kept}) for name, kept in found["kernels"].items()}


def outdated(chip: Chip, found: dict[str, Any]) -> list[Variant]:
    """The variants for which a verdict is not there, or of another source or compiler."""
    known = {name: kept["made_of"] for name, kept in found["kernels"].items()}
    if {name: found.get(name) for name in versions(chip)} != versions(chip):
        known = {}
    return [one for one in shipped(chip) if known.get(one.name) != made_of(one, chip)]


def renew(chip: Chip) -> list[str]:
    """Compile what has no verdict, and write it; what is wrong, a line each."""
    found = verdict(chip)
    new, wanted = outdated(chip, found), [variant.name for variant in shipped(chip)]
    kernels = {n: kept for n, kept in found["kernels"].items() if n in wanted}
    for variant in new:
        kernels.pop(variant.name, None)

    def write() -> None:
        lines = ",\n".join(
            f" {json.dumps(name)}: {json.dumps(kernels[name])}"
            for name in wanted
            if name in kernels
        )
        head = json.dumps(versions(chip))[1:-1]
        path_of(chip).write_text(f'{{{head},\n"kernels": {{\n{lines}\n}}}}\n')

    def each(variant: Variant, facts: Facts) -> None:
        kernels[variant.name] = {k: v for k, v in asdict(facts).items() if k in KEPT}
        print(f"{chip.name}: {variant.name}, {facts.reading.registers} registers", flush=True)
        write()

    with tempfile.TemporaryDirectory() as directory:
        wrong = compile_all(new, chip, Path(directory), each) if new else []
    write()
    return sorted(wrong) + broken_together(chip, facts_in(verdict(chip)))


def main(names: list[str]) -> int:
    for name in OTHER_PTXAS.values():
        os.environ.pop(name, None)
    VERDICTS.mkdir(exist_ok=True)
    chips = [chip_named(name) for name in names] or list(CHIPS.values())
    wrong = [line for chip in chips for line in renew(chip)]
    print("\n".join(wrong) or "nothing is wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
