"""What a user can get wrong about a model or a machine. Messages say what, and how to mend it."""

from pathlib import Path


class KernelsError(Exception):
    """A model that cannot be served as asked."""


class CheckpointError(KernelsError):
    """Not a checkpoint, an architecture we do not know, or weights that do not fit their config."""


class CompileError(KernelsError):
    """The step of this model cannot be compiled for this target."""


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


class UntrustedPath(KernelsError):
    """Another user of the machine could put something here that we would load as code."""

    def __init__(self, place: Path, why: str, remedy: str) -> None:
        """`why`: as "belongs to nobody"; `remedy`: the command that mends it, without the path."""
        self.place, self.why = place, why
        super().__init__(
            f"{place} {why}: nothing is loaded from where another user could put something; "
            f"{remedy} {place}, or name another place (RAYLAX_STORE, model_lib)"
        )
