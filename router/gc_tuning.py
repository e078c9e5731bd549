"""Python's garbage collector in a router. Calls hardly make cycles: it has little to find."""

import gc

THRESHOLDS = 20_000, 20, 50
"""Objects that live between two looks at the young ones, and how many of these to one at the older:
by default it looks after 700, which a single report of a busy worker has."""


def settle() -> None:
    """What is there now stays: it is never looked at again. For when a model has been loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
