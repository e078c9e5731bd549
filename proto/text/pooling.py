"""Whether a checkpoint of sentence-transformers means the vectors that raylax makes.

raylax takes the hidden state of the last token after the final norm, at length 1. A mean over
tokens is not to be had: the states of tokens whose pages were found in a cache are never computed
again.
"""

from collections.abc import Iterable
from typing import Any

STEPS = ("Transformer", "Pooling", "Normalize")
SWITCH = "pooling_mode_"
POOLING = "1_Pooling/config.json"
MODULES = "modules.json"


def unsupported(poolings: Iterable[Any], modules: Iterable[Any]) -> str | None:
    """What of these settings raylax does not have, by name; None: it makes the vectors that they
    mean, or there are none. They are what the files POOLING and MODULES hold; raises AttributeError
    for what is no such setting.
    """
    modes, steps = [modes_of(one) for one in poolings], [step_of(one) for one in modules]
    if modes and modes != [["lasttoken"]]:
        return f"{POOLING} pools by {', '.join(modes[0]) or 'nothing'}, only lasttoken is supported"
    if unknown := [step for step in steps if step not in STEPS]:
        return f"{MODULES} has a step {unknown[0]}, only {', '.join(STEPS)} are supported"
    return None


def modes_of(pooling: Any) -> list[str]:
    """The ways of pooling: older versions have a switch for each, newer ones a field."""
    if isinstance(mode := pooling.get("pooling_mode"), str):
        return mode.split("+")
    switched = [name for name, on in pooling.items() if name.startswith(SWITCH) and on is True]
    return [name.removeprefix(SWITCH).removesuffix("_tokens") for name in switched]


def step_of(module: Any) -> str:
    return str(module.get("type", "")).rsplit(".", 1)[-1]
