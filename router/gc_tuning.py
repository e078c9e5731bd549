"""Python's garbage collector in a router. Calls hardly make cycles: it has little to find."""

import gc

THRESHOLDS = 20_000, 20, 50
"""Objects between two looks at the young ones, and how many such looks come to one at the older.
By default it looks after 700 objects, which a single report of a busy worker has."""


def freeze_heap() -> None:
    """Have the collector never look again at what is there now: once a model has been loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
