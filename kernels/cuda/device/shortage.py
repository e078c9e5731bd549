"""A GPU whose memory is full: the error, with the arithmetic."""

from collections.abc import Iterator
from contextlib import contextmanager

from raylax.kernels.cuda import driver
from raylax.kernels.errors import DeviceError

MIB = 1 << 20


@contextmanager
def explained(device: str, weights: int, workspace: int, pages: int) -> Iterator[None]:
    """What is had meanwhile takes so many bytes: DeviceError for lack of them says so."""
    free, total = driver.memory(driver.index_of(device))
    try:
        yield
    except DeviceError as error:
        if not error.is_out_of_memory:
            raise
        needed = weights + workspace + pages
        raise DeviceError(
            f"{device}: out of memory: weights {mib(weights)} + workspace {mib(workspace)} + KV "
            f"pages {mib(pages)} = {mib(needed)}, of {mib(free)} free when loading began "
            f"({mib(total)} in all); lower gpu_memory_utilization or max_total_sequence_length, "
            f"take a smaller quantization, or free memory ({error})",
            error.code,
        ) from None


def mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"
