"""What tests compile themselves: kept in the store, as what raylax compiles is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from raylax.kernels.store import Store, key_of, source_hash


def kept(store: Path, facts: dict[str, Any], make: Callable[[Path], None]) -> Path:
    """The directory that `make` has filled, in this run or in an earlier one with the same kernels.
    `facts` are what else it depends on. Nobody may change what is in it."""
    return Store(store).get("library", key_of({**facts, "kernels": source_hash()}), make)[0]
