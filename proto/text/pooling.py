"""Whether a checkpoint of sentence-transformers means the vectors that we make.

We take the hidden state of the last token after the final norm, at length 1. A mean over tokens is
not to be had: the states of tokens whose pages were found in a cache are never computed again.
"""

import json
from pathlib import Path
from typing import Any

STEPS = ("Transformer", "Pooling", "Normalize")
SWITCH = "pooling_mode_"
POOLING = "1_Pooling/config.json"
MODULES = "modules.json"


def why_no_embeddings(checkpoint: Path) -> str | None:
    """What of its settings we cannot do, by name; None for one that has no such settings."""
    try:
        modes = [modes_of(facts) for facts in read(checkpoint / POOLING)]
        steps = [step_of(facts) for facts in read(checkpoint / MODULES)]
    except (ValueError, AttributeError) as error:
        return f"{POOLING} or {MODULES} is not valid: {error}"
    if modes and modes != [["lasttoken"]]:
        return f"{POOLING} pools by {', '.join(modes[0]) or 'nothing'}, only lasttoken is supported"
    if unknown := [step for step in steps if step not in STEPS]:
        return f"{MODULES} has a step {unknown[0]}, only {', '.join(STEPS)} are supported"
    return None


def read(path: Path) -> list[Any]:
    """What is listed in the file, or the one thing in it; nothing if there is none."""
    found = json.loads(path.read_text()) if path.exists() else []
    return found if isinstance(found, list) else [found]


def modes_of(pooling: Any) -> list[str]:
    """Older versions write a switch for each, newer ones a field."""
    if isinstance(mode := pooling.get("pooling_mode"), str):
        return mode.split("+")
    switched = [name for name, on in pooling.items() if name.startswith(SWITCH) and on is True]
    return [name.removeprefix(SWITCH).removesuffix("_tokens") for name in switched]


def step_of(module: Any) -> str:
    return str(module.get("type", "")).rsplit(".", 1)[-1]
