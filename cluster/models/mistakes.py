"""What goes wrong while a model is looked at and compiled, in words for the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from raylax.cluster.errors import UserError
from raylax.kernels.errors import KernelsError
from raylax.kernels.store import default_root


@contextmanager
def told_to_the_user() -> Iterator[None]:
    """What is raised inside for a model, a setting or the store becomes a UserError."""
    try:
        yield
    except (KernelsError, ValueError) as error:  # a ConfigError is a ValueError
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(
            f"{error.filename or default_root()}: {error.strerror or error}; RAYLAX_STORE names "
            "the directory in which compiled models are kept"
        ) from None
