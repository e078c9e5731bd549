"""What a library holds for GPUs: each cubin in it is an ELF file that names its chip."""

import re
import struct

CUDA_MACHINE = 190
HEADER = struct.Struct("<16xHHIQQQI")  # type, machine, version, entry, two offsets, flags
ELF = re.compile(rb"\x7fELF\x02")
TEXT = (b"__global__ void", b"\n.target sm_", b".visible .entry")
"""What CUDA source and PTX have in them, and machine code has not."""


def architectures(content: bytes) -> list[str]:
    """The names of the chips that machine code is there for, in the order of the cubins."""
    found = []
    for at in (match.start() for match in ELF.finditer(content)):
        if len(content) - at >= HEADER.size:
            _, machine, *_, flags = HEADER.unpack_from(content, at)
            if machine == CUDA_MACHINE:
                found.append(f"sm_{flags >> 8 & 0xFF}")
    return found


def has_source(content: bytes) -> bool:
    """Whether something is left that the driver, or a toolkit, would have to compile."""
    return any(text in content for text in TEXT)
