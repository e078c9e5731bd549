"""Device strings: where an engine runs, and what memory there is."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.chips import Chip, chip_of
from raylax.kernels.cuda.device.verdict import read
from raylax.kernels.errors import CompileError, KernelsError
from raylax.kernels.runtime import has_device, library
from raylax.worker.config import GPU_UTILIZATION
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.memory import available_memory

log = logging.getLogger(__name__)
INSIST = "--device cuda takes the GPU"
KNOWN = "auto, cpu, cuda, and cuda:0, cuda:1 and so on"
OTHERS = "rocm", "vulkan", "metal", "opencl"
"""Kinds of devices that TVM has names for, and we no kernels."""
MIB = 1 << 20


class Choice(NamedTuple):
    """The device that `auto` comes to."""

    device: str
    why_no_gpu: str = ""
    """In a sentence, where there is one that was not taken."""


def detect_device(given: object) -> str:
    """The device that a string names: cpu, or cuda:i; of auto what `choose` says, the log says why.
    None is auto, and anything else named by its text, as `tvm.runtime.Device` is.

    Raises ConfigError for one that is not known, not here, or cannot run our kernels.
    """
    device = "auto" if given is None else str(given)
    kind, colon, index = device.partition(":")
    if device == "auto":
        choice = choose()
        log.info("%s", reason(choice))
        return choice.device
    if kind == "cpu" and index in ("", "0"):
        return "cpu"
    numbered = not colon or (index.isascii() and index.isdigit())
    if kind in OTHERS and numbered:
        raise ConfigError(f"device {device!r} cannot be used: {lacking(kind)}; say {KNOWN}")
    if kind != "cuda" or not numbered:
        raise ConfigError(f"device must be {KNOWN}; found {device!r}")
    if (number := int(index or 0)) >= (count := driver.count()):
        instead = "" if count else "; device cpu, or auto, runs on the CPU"
        raise ConfigError(f"device {device!r} is not here: {driver.missing(number)}{instead}")
    try:
        chip_at(number)
    except CompileError as error:
        raise ConfigError(str(error)) from None
    return f"cuda:{number}"


def choose(store: Path | None = None) -> Choice:
    """What `auto` is here: a GPU on which our kernels were checked with this driver, and held; else
    the CPU."""
    reasons = []
    for index in range(driver.count()):
        if (why := objection(index, store)) is None:
            return Choice(f"cuda:{index}")
        reasons.append(why)
    if not reasons:
        return Choice("cpu")
    return Choice("cpu", f"device auto is the CPU: {reasons[0]}")


def reason(choice: Choice) -> str:
    """Which device `auto` is, and why: the GPUs were looked at first, then what else TVM can speak
    to, then there is the CPU."""
    if choice.device != "cpu":
        return f"device auto is {name_of(choice.device)}: our kernels were checked there, and held"
    why = choice.why_no_gpu or f"device auto is the CPU: cuda is not here ({driver.missing(0)})"
    try:
        spoken = [kind for kind in OTHERS if has_device(kind)]
    except CompileError as error:
        return f"{why}; {error}"
    kinds = ", ".join(OTHERS)
    if not spoken:
        return f"{why}; TVM speaks to no other device here ({kinds})"
    return f"{why}; TVM speaks to {', '.join(spoken)} here, for which raylax has no kernels"


def lacking(kind: str) -> str:
    """What it takes to run on another kind of device, and is not there."""
    kernels = f"raylax has no kernels for {kind}"
    try:
        if has_device(kind):
            return kernels
        return f"{kernels}, and TVM does not speak to it here ({library(kind).name} is missing)"
    except CompileError as error:
        return f"{kernels}, and {error}"


def objection(index: int, store: Path | None = None) -> str | None:
    """Why nobody should be given this GPU who has not asked for it; None if he may."""
    try:
        chip, release = chip_at(index), driver.release()
        name = driver.properties(index).name
        verdict = read(chip.name, release, store)
    except KernelsError as error:
        return str(error)
    checked = f"on {name} ({chip.name}, driver {release})"
    if verdict is not None and verdict.ok:
        return None
    if verdict is None:
        why = f"its kernels have not been checked {checked}"
    else:
        why = f"the check of its kernels failed {checked}: {', '.join(verdict.failed) or 'empty'}"
    return f"{why}; {INSIST}"


def chip_at(index: int) -> Chip:
    """The generation of a GPU. Raises CompileError where our kernels cannot run there: the driver
    is too old, or the chip is none of those that they are made for."""
    driver.check_version()
    found = driver.properties(index)
    return chip_of(found.capability, found.name)


def name_of(device: str) -> str:
    """A device by the name that it has on the whole machine, whichever of them this process may
    see."""
    if not (uuid := uuid_of(device)):
        return device
    return f"{driver.properties(driver.index_of(device)).name} {uuid}"


def uuid_of(device: str) -> str:
    """A GPU's name for ever; empty for a CPU, and for what cannot be asked."""
    if device.startswith("cuda"):
        with suppress(CompileError):  # what it is wanted for will say why
            return driver.uuid(driver.index_of(device))
    return ""


def memory_of(device: str, gpus: float, utilization: float | None = None) -> int:
    """Bytes that a rank may count on there: of a CPU what is free, of a GPU `budget`.

    Raises ConfigError.
    """
    if not device.startswith("cuda"):
        return available_memory()
    try:
        free, total = driver.memory(driver.index_of(device))
        return budget(device, free, total, gpus, utilization)
    except CompileError as error:
        raise ConfigError(str(error)) from None


def budget(device: str, free: int, total: int, gpus: float, utilization: float | None) -> int:
    """Bytes of a GPU that a rank with `gpus` of it may take for everything: a share of all of its
    memory, not of what is free, so that it is the same whoever comes first. What others use is
    told apart from it by what is free: where a share was asked for, it must be; where none was, the
    usual one is taken of what is free, if that is less. Raises ConfigError."""
    asked = int(total * gpus * (utilization or GPU_UTILIZATION))
    if utilization is None:
        return min(asked, int(free * GPU_UTILIZATION))
    if asked > free:
        part = f" x {gpus:g} (gpus_per_rank)" if gpus != 1 else ""
        raise ConfigError(
            f"gpu_memory_utilization {utilization:g}{part} of the {total / MIB:.0f} MiB of "
            f"{name_of(device)} is {asked / MIB:.0f} MiB, and {free / MIB:.0f} MiB are free: "
            f"others use {(total - free) / MIB:.0f} MiB; ask for less, or free memory"
        )
    return asked
