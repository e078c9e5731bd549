"""What a user can get wrong about a model or a machine. Messages say what, and how to mend it."""

from pathlib import Path

MOST_SAID = 2000
"""Characters of a message: what a file calls itself may be longer."""


class KernelsError(Exception):
    """A model that cannot be served as asked. What it says is one line, whatever it quotes."""

    def __init__(self, message: str) -> None:
        half = MOST_SAID // 2
        short = message if len(message) <= MOST_SAID else f"{message[:half]} … {message[-half:]}"
        super().__init__(printable(short))


def printable(text: str) -> str:
    """With escapes in the place of what moves a terminal's cursor, or the direction of writing."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


class CheckpointError(KernelsError):
    """Not a checkpoint, an architecture we do not know, or weights that do not fit their config."""


class CompileError(KernelsError):
    """The step of this model cannot be compiled for this target."""


def only_on_cpu(what: str) -> str:
    """What is said of something that kernels for GPUs have not."""
    return f"{what}; the CPU has it: --device cpu"


LOST = frozenset(
    {
        46,  # cudaErrorDevicesUnavailable
        100,  # cudaErrorNoDevice: there was one
        201,  # cudaErrorDeviceUninitialized: the context is gone
        214,  # cudaErrorECCUncorrectable
        220,  # cudaErrorNvlinkUncorrectable
        226,  # cudaErrorContained
        700,  # cudaErrorIllegalAddress
        702,  # cudaErrorLaunchTimeout
        709,  # cudaErrorContextIsDestroyed
        710,  # cudaErrorAssert
        *range(714, 720),  # cudaErrorHardwareStackError to cudaErrorLaunchFailure
        721,  # cudaErrorTensorMemoryLeak
        806,  # cudaErrorMpsRpcFailure
        807,  # cudaErrorMpsServerNotReady
        810,  # cudaErrorMpsClientTerminated
        911,  # cudaErrorExternalDevice
        999,  # cudaErrorUnknown
    }
)
"""CUDA's codes after which a process does nothing more on its device. Of most `driver_types.h` says
that it must be ended and started again; of the others that the device, or the way there, is gone.
Not so of 701, 711 to 713 and 720, which lie among them: what was asked for was wrong."""


class DeviceError(KernelsError):
    """A GPU did not do what it was told: its memory is full, or it is lost."""

    def __init__(self, message: str, code: int = 0) -> None:
        """`code`: CUDA's."""
        super().__init__(message)
        self.code = code

    @property
    def is_out_of_memory(self) -> bool:
        """Whether less would have gone well."""
        return self.code == 2  # cudaErrorMemoryAllocation

    @property
    def is_lost(self) -> bool:
        """Whether this process can do nothing more there, whatever it asks for."""
        return self.code in LOST


class UntrustedPath(KernelsError):
    """Another user of the machine could put something here that we would load as code."""

    def __init__(self, place: Path, why: str, remedy: str) -> None:
        """`why`: as "belongs to nobody"; `remedy`: the command that mends it, without the path."""
        self.place, self.why = place, why
        super().__init__(
            f"{place} {why}: nothing is loaded from where another user could put something; "
            f"{remedy} {place}, or name another place (RAYLAX_STORE, model_lib)"
        )
