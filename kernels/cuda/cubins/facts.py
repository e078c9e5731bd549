"""What there is to know of machine code to launch it, and whether it is the one that is wanted."""

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.cubins.reading import Reading, Structure
from raylax.kernels.cuda.cubins.source import digest_of, module_of
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.errors import CompileError
from raylax.kernels.ownership import check_all_ours
from raylax.kernels.store import key_of

LISTED = "kernels.json"
HIDDEN = ("*i8", "*i8")
"""The types of two pointers that Triton adds to every kernel, to scratch memory: ours use none, and
are given null."""
COMPILER = "raylax.kernels.cuda.cubins.compiler"
OVERLAP = "raylax.kernels.cuda.cubins.overlap"
CUDA_MACHINE = 190
ELF = struct.Struct("<4s4xB9xHIQQQI")
"""Magic, version of the ABI, machine, version, three offsets, flags."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one cubin."""

    made_of: str
    """Digest of all that its bytes follow from, but for the compiler's version."""
    kernel: str
    """Its source: `matmul:linear`."""
    symbol: str
    """The function in it; unique among all variants."""
    types: tuple[str, ...]
    """Of all parameters in order, the hidden ones last."""
    names: tuple[str, ...]
    """Of those that are not hidden."""
    constants: dict[str, int | bool]
    threads: int
    shared: int
    """Bytes of dynamic shared memory."""
    scratch: int
    """Bytes of global memory that a program wants; 0 in all that is used."""
    columns: int
    """Of tensor memory."""
    sha256: str
    reading: Reading
    structure: Structure
    overlapped: bool = False
    """Whether it waits for the kernel before it, and may be started before that has ended."""

    @classmethod
    def of(cls, listed: dict[str, Any]) -> Self:
        """From what `asdict` made, by way of JSON."""
        structure = listed["structure"]
        sums = tuple(structure["float_sums"])
        return cls(
            **{
                **listed,
                "types": tuple(listed["types"]),
                "names": tuple(listed["names"]),
                "reading": Reading(**listed["reading"]),
                "structure": Structure(**{**structure, "float_sums": sums}),
            }
        )

    def at_once(self, chip: Chip) -> int:
        """How many programs run on a multiprocessor at once."""
        return chip.at_once(self.reading.registers, self.shared, self.threads, self.columns)


class Cubin(NamedTuple):
    """Machine code with its facts."""

    code: bytes
    facts: Facts


def made_of(variant: Variant, chip: Chip) -> str:
    """A digest of all that a variant's bytes follow from, but for the compiler's version."""
    return key_of(
        {
            "variant": [variant.name, variant.kernel, variant.warps, variant.stages],
            "types": list(variant.types.items()),
            "constants": list(variant.constants.items()),
            "aligned": sorted(variant.aligned),
            "chip": chip.name,
            "source": digest_of(module_of(variant.kernel)),
            "compiler": digest_of(COMPILER),
            **({"overlapped": digest_of(OVERLAP)} if variant.overlapped else {}),
        }
    )


def write(directory: Path, chip: Chip, versions: dict[str, str], made: dict[str, Facts]) -> None:
    """The list of what lies in a directory."""
    kernels = {name: asdict(facts) for name, facts in made.items()}
    listed = {"chip": chip.name, **versions, "kernels": kernels}
    (directory / LISTED).write_text(json.dumps(listed, indent=1))


def listed(directory: Path, chip: Chip) -> dict[str, Facts]:
    """What lies in a directory. Raises CompileError for one without a list, or for another chip."""
    try:
        found = json.loads((directory / LISTED).read_text())
        kernels = {name: Facts.of(facts) for name, facts in found["kernels"].items()}
        made_for = found["chip"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CompileError(
            f"kernels for GPUs must be a directory that `raylax compile --target` wrote, with its "
            f"{LISTED}; found {directory}: {error!r}"
        ) from None
    if made_for != chip.name:
        raise CompileError(f"{directory} has kernels for {made_for}; this is {chip.name}")
    return kernels


def load(directory: Path, variants: Iterable[Variant], chip: Chip) -> dict[str, Cubin]:
    """The machine code of each variant, by its name.

    Raises CompileError for a variant that is not there, was made of another version of its source
    or is not what was written; UntrustedPath where another user could put something.
    """
    check_all_ours(directory)
    found = listed(directory, chip)
    return {variant.name: one(directory, variant, chip, found) for variant in variants}


def one(directory: Path, variant: Variant, chip: Chip, found: dict[str, Facts]) -> Cubin:
    """One variant's. Raises as `load`."""
    where, remedy = f"{directory}: {variant.name}", f"compile for cuda/{chip.name} again"
    if (facts := found.get(variant.name)) is None:
        raise CompileError(f"{where} is not there{instead_of(variant.name, found)}; {remedy}")
    if facts.made_of != made_of(variant, chip):
        why = "was compiled from another version of its source, or with other options"
        raise CompileError(f"{where} {why}; {remedy}")
    try:
        code = file_of(directory, variant.name).read_bytes()
    except OSError as error:
        raise CompileError(f"{where}: {error}; {remedy}") from None
    if hashlib.sha256(code).hexdigest() != facts.sha256:
        raise CompileError(f"{where} is not the file that was compiled; {remedy}")
    if (number := chip_of(code)) != chip.number:
        raise CompileError(f"{where} is machine code for sm_{number}; {remedy}")
    return Cubin(code, facts)


def instead_of(name: str, found: Iterable[str]) -> str:
    """What there is of the same kernel: the code of another model, whose sizes its name has."""
    kernel = name.partition("_")[0]
    others = sorted(other for other in found if other.partition("_")[0] == kernel)
    return f", and {others[0]} of another model is" if others else ""


def file_of(directory: Path, name: str) -> Path:
    """Where a variant's machine code lies."""
    return directory / f"{name}.cubin"


def chip_of(code: bytes) -> int | None:
    """The number of the chip that an ELF file is for; None for what is no machine code."""
    if len(code) < ELF.size:
        return None
    magic, abi, machine, *_, flags = ELF.unpack_from(code)
    if magic != b"\x7fELF" or machine != CUDA_MACHINE:
        return None
    return int(flags & 0xFF if abi < 8 else flags >> 8 & 0xFF)
