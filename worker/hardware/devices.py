"""Device strings: where an engine runs, and what memory there is."""

from raylax.kernels.cuda import driver
from raylax.kernels.errors import CompileError
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.memory import available_memory

KNOWN = "auto, cpu, cuda, and cuda:0, cuda:1 and so on"


def detect_device(given: object) -> str:
    """The device that a string names: cpu, or cuda:i. `auto` is the CPU: GPUs are tried on demand.
    None is auto, and anything else named by its text, as `tvm.Device` is.

    Raises ConfigError for one that is not known, or not here.
    """
    device = "auto" if given is None else str(given)
    kind, colon, index = device.partition(":")
    if device == "auto" or (kind == "cpu" and index in ("", "0")):
        return "cpu"
    if kind != "cuda" or (colon and not (index.isascii() and index.isdigit())):
        raise ConfigError(f"device must be {KNOWN}; found {device!r}")
    if (number := int(index or 0)) >= driver.count():
        raise ConfigError(f"device {device!r} is not here: {driver.missing(number)}")
    return f"cuda:{number}"


def name_of(device: str) -> str:
    """A device by the name that it has on the whole machine, whichever of them this process may
    see."""
    if not device.startswith("cuda"):
        return device
    try:
        index = driver.index_of(device)
        return f"{driver.properties(index).name} {driver.uuid(index)}"
    except CompileError:  # it cannot be asked, and what it is wanted for will say why
        return device


def memory_of(device: str, share: float) -> int:
    """Bytes that a model may count on there; of a GPU no more than this share of all its memory.

    Raises ConfigError.
    """
    if not device.startswith("cuda"):
        return available_memory()
    try:
        free, total = driver.memory(driver.index_of(device))
    except CompileError as error:
        raise ConfigError(str(error)) from None
    return min(free, int(total * share))
