"""NVIDIA's libraries: the one that the system has, or else the wheel's."""

import ctypes
from importlib.metadata import PackageNotFoundError, distribution


def loaded(name: str, wheel: str, file: str) -> ctypes.CDLL:
    """A library by its name, or as a file of a wheel. Raises OSError, which says why not."""
    try:
        return ctypes.CDLL(name, ctypes.RTLD_GLOBAL)
    except OSError:
        try:
            own = distribution(wheel).locate_file(file)
        except PackageNotFoundError:
            raise OSError(f"{name} is not here, nor {wheel}") from None
        return ctypes.CDLL(str(own), ctypes.RTLD_GLOBAL)
