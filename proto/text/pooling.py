"""Whose state a model's vectors are, as its files of sentence-transformers say.

raylax takes the hidden state of the last token after the final norm, the mean over all tokens, or
the state of the first one, at length 1.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

AUTO, LAST = "auto", "last"
How = Literal["last", "mean", "cls"]
KNOWN: dict[str, How] = {"lasttoken": "last", "mean": "mean", "cls": "cls", "cls_token": "cls"}
"""As both versions of the settings call them."""
STEPS = ("Transformer", "Pooling", "Normalize")
SWITCH = "pooling_mode_"
POOLING = "1_Pooling/config.json"
MODULES = "modules.json"


class Pooling(NamedTuple):
    """How a model's vectors are made."""

    how: How = "last"
    unsupported: str | None = None
    """What its files ask for that raylax does not have, by name; None: it makes the vectors that
    they mean, or they say nothing."""


def pooling_of(asked: str, poolings: Iterable[Any], modules: Iterable[Any]) -> Pooling:
    """By a setting, unless that is AUTO, and by what the files POOLING and MODULES hold. Raises
    AttributeError for what is no such setting."""
    modes, steps = [modes_of(one) for one in poolings], [step_of(one) for one in modules]
    if unknown := [step for step in steps if step not in STEPS]:
        supported = ", ".join(STEPS)
        return Pooling(
            unsupported=f"{MODULES} has a step {unknown[0]}, only {supported} are supported"
        )
    for how in KNOWN.values():
        if how == asked:
            return Pooling(how)
    if not modes:
        return Pooling()
    found = [KNOWN.get(mode) for mode in modes[0]]
    if len(found) == 1 and found[0] is not None:
        return Pooling(found[0])
    told = ", ".join(modes[0]) or "nothing"
    return Pooling(
        unsupported=f"{POOLING} pools by {told}, only lasttoken, mean or cls is supported"
    )


def modes_of(pooling: Any) -> list[str]:
    """The ways of pooling: older versions have a switch for each, newer ones a field."""
    if isinstance(mode := pooling.get("pooling_mode"), str):
        return mode.split("+")
    switched = [name for name, on in pooling.items() if name.startswith(SWITCH) and on is True]
    return [name.removeprefix(SWITCH).removesuffix("_tokens") for name in switched]


def step_of(module: Any) -> str:
    return str(module.get("type", "")).rsplit(".", 1)[-1]
