"""The source that a CPU's code depends on: this room, and all that it may import."""

from raylax.kernels.store import source_hash

ABOVE = frozenset({"heads", "build", "sources", "cuda"})
"""Rooms that stand above this one in ARCHITECTURE.md: it knows nothing of them, and what it has
compiled outlives every change there."""


def emitter_hash() -> str:
    """A digest of it: a changed kernel is a different artefact."""
    return source_hash(ABOVE)
