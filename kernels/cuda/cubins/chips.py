"""The chips that there is machine code for, and what a multiprocessor of each has."""

from dataclasses import dataclass

from raylax.kernels.errors import CompileError

ALLOCATED_REGISTERS = 256
"""A warp is given registers in this unit."""
RESERVED_SHARED = 1024
"""Bytes of shared memory that the system keeps beside a program's own."""
TENSOR_COLUMNS = 512
"""Of the tensor memory of chips whose matrix unit has one."""
REGISTERS = 65536
WARP = 32
"""Threads."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One multiprocessor. Machine code is for one chip exactly from 90 on."""

    number: int
    """As in sm_90."""
    names: str
    matrix: str
    """What the names of its matrix unit's instructions begin with."""
    shared: int
    """KiB of shared memory."""
    program_shared: int
    """The most KiB of it that one program can have."""
    warps: int
    programs: int
    """The most that are there at once."""

    @property
    def name(self) -> str:
        """As ptxas names it, without the letter for features of this chip alone."""
        return f"sm_{self.number}"

    def at_once(self, registers: int, shared: int, threads: int, columns: int = 0) -> int:
        """How many programs run on a multiprocessor at once, of those that have so many registers a
        thread, bytes of shared memory, threads, columns of tensor memory."""
        if shared > self.program_shared * 1024:
            return 0
        warps = threads // WARP
        per_warp = -(-registers * WARP // ALLOCATED_REGISTERS) * ALLOCATED_REGISTERS
        fits = [
            REGISTERS // (max(per_warp, 1) * warps),
            self.shared * 1024 // (shared + RESERVED_SHARED),
            self.warps // warps,
            self.programs,
        ]
        return min([*fits, TENSOR_COLUMNS // columns] if columns else fits)


CHIPS = {
    chip.number: chip
    for chip in (
        Chip(80, "A100", "HMMA", 164, 163, 64, 32),
        Chip(86, "A10, RTX 30", "HMMA", 100, 99, 48, 16),
        Chip(89, "L4, L40S, RTX 40", "HMMA", 100, 99, 48, 24),
        Chip(90, "H100, H200", "HGMMA", 228, 227, 64, 32),
        Chip(100, "B200", "UTCHMMA", 228, 227, 64, 32),
        Chip(103, "B300", "UTCHMMA", 228, 227, 64, 32),
        Chip(120, "RTX 50", "HMMA", 100, 99, 48, 24),
    )
}


def chip_of(capability: tuple[int, int], who: str) -> Chip:
    """The chip of a compute capability. Raises CompileError, with the name of `who` it is, for one
    that there is no machine code for: it runs on one chip, and not on those after it."""
    number = 10 * capability[0] + capability[1]
    if number not in CHIPS:
        listed = ", ".join(f"{chip.name} ({chip.names})" for chip in CHIPS.values())
        raise CompileError(
            f"{who} is sm_{number}, and there are kernels for {listed}; serve by the CPU: "
            "--device cpu"
        )
    return CHIPS[number]


def chip_named(name: str) -> Chip:
    """`sm_90`. Raises CompileError for one that there is no machine code for."""
    for chip in CHIPS.values():
        if chip.name == name:
            return chip
    listed = ", ".join(f"{chip.name} ({chip.names})" for chip in CHIPS.values())
    raise CompileError(f"there are kernels for {listed}; found {name!r}")
