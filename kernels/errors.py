"""What a user can get wrong about a model or a machine. Messages say what, and how to mend it."""


class KernelsError(Exception):
    """A model that cannot be served as asked."""


class CheckpointError(KernelsError):
    """Not a checkpoint, an architecture we do not know, or weights that do not fit their config."""


class CompileError(KernelsError):
    """The step of this model cannot be compiled for this target."""
