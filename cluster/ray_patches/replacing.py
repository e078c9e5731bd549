"""Puts something of ours in place of what Ray has under a name, wherever that has been imported.

A worker that was forked finds Ray's modules imported, and in some of them what others had by then.
"""

import sys
from types import ModuleType
from typing import Any

RAYS = "ray."


def put(module: ModuleType, name: str, ours: Any) -> None:
    """Under this name of a module of Ray's, and of each that has it from there."""
    before = getattr(module, name)
    for loaded in [*sys.modules.values()]:
        known = getattr(loaded, "__dict__", {})
        if str(known.get("__name__", "")).startswith(RAYS) and known.get(name) is before:
            setattr(loaded, name, ours)
