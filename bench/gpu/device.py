"""What the device is, and what it can do at most, by its driver."""

import ctypes
from typing import Any

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.chips import chip_of

CLOCK_KHZ, MULTIPROCESSORS, MEMORY_KHZ, BUS_BITS, CACHE_BYTES = 13, 16, 36, 37, 38
"""Of cuDeviceGetAttribute."""
OPERATIONS = {80: 2048, 86: 1024, 89: 1024, 90: 4096, 100: 8192, 103: 8192, 120: 1024}
"""Of bf16 with f32 sums, without sparsity: a clock of a multiprocessor, multiplications and
additions apart."""


def facts() -> dict[str, Any]:
    """Of the first device that this process sees. Raises CompileError without one."""
    driver.check_version()
    found = driver.properties(0)
    chip = chip_of(found.capability, f"the GPU here ({found.name})").number
    free, total = driver.memory(0)
    sms, clock = attribute(MULTIPROCESSORS), attribute(CLOCK_KHZ) * 1e3
    return {
        "name": found.name,
        "chip": chip,
        "driver": driver.release(),
        "multiprocessors": sms,
        "clock_mhz": round(clock / 1e6),
        "cache_bytes": attribute(CACHE_BYTES),
        "free_bytes": free,
        "total_bytes": total,
        "bytes_s": max(1.0, 2 * attribute(MEMORY_KHZ) * 1e3 * attribute(BUS_BITS) / 8),
        "flop_s": max(1.0, sms * clock * OPERATIONS[chip]),
    }


def attribute(number: int) -> int:
    """One of the driver's."""
    cuda, handle = driver.handle_of(0)
    found = ctypes.c_int()
    driver.call(cuda, "cuDeviceGetAttribute", ctypes.byref(found), number, handle)
    return found.value
