"""What machine code has to keep to be used: each rule, and what is said of a kernel that breaks it.

Law 1 stands on some of them: floats that are summed across threads are summed in an order that
follows from how they lie on the threads, so it may depend on the tile. Speed stands on the others.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.cubins.facts import Facts


def broken(name: str, chip: Chip, found: Facts) -> list[str]:
    """The rules that a variant breaks by itself, a line each."""
    return [f"{name} for {chip.name}: {said}" for said in breaches(chip, found)]


def breaches(chip: Chip, found: Facts) -> Iterator[str]:
    reading, structure = found.reading, found.structure
    if found.scratch:
        yield f"scratch memory must be 0 bytes, found {found.scratch}"
    if found.shared > chip.program_shared * 1024:
        most = chip.program_shared * 1024
        yield f"shared memory must be at most {most} bytes, found {found.shared}"
    elif not found.at_once(chip):
        yield (
            "a multiprocessor must have room for a program, found "
            f"{reading.registers} registers for each of {found.threads} threads and "
            f"{found.columns} columns of tensor memory"
        )
    if reading.spills or reading.stack:
        yield (
            f"nothing may be spilled from registers, found {reading.spills} accesses and "
            f"{reading.stack} bytes"
        )
    if found.overlapped and not reading.waits:
        yield "who may be started early must wait before it reaches global memory, and does not"
    other = [one for one in reading.matrix if not one.startswith(chip.matrix)]
    if other or (structure.products and not reading.matrix):
        there = ", ".join(other) or "none of the matrix unit's"
        yield f"products of tiles must be {chip.matrix} instructions, found {there}"
    if structure.cut:
        yield f"floats must not be cut to tf32, found {structure.cut} products that do"
    if structure.products and structure.float_sums:
        there = "; ".join(structure.float_sums)
        yield f"with products of tiles, no floats may be summed across threads, found {there}"
    if len(structure.float_sums) > 1:
        there = "; ".join(structure.float_sums)
        yield f"floats must be summed across threads in one layout, found {there}"
    if structure.float_atomics:
        yield f"floats must not be summed in memory, found {structure.float_atomics} places"


def broken_together(chip: Chip, all_found: Mapping[str, Facts]) -> list[str]:
    """The rules that variants break by differing: all of one kernel over rows of one width sum
    across threads in one layout."""
    layouts = defaultdict[tuple[str, str], dict[str, str]](dict)
    for name, found in sorted(all_found.items()):
        for layout in found.structure.float_sums:
            shape = layout.partition(",")[0]
            layouts[found.kernel, shape].setdefault(layout, name)
    return [
        f"{' and '.join(names.values())} for {chip.name}: variants of {kernel} must sum floats "
        f"across threads in one layout, found {' and '.join(names)}"
        for (kernel, _), names in layouts.items()
        if len(names) > 1
    ]
