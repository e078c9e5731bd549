"""Functions that `debug_call_func_on_all_worker` can run on every rank, by name."""

from collections.abc import Callable, Sequence
from typing import Any

from raylax.worker.rank import Rank

DebugFunction = Callable[..., Any]
_functions: dict[str, DebugFunction] = {}


def register(name: str) -> Callable[[DebugFunction], DebugFunction]:
    """Makes `function(rank, *args)` callable under a name; registering again replaces it."""

    def keep(function: DebugFunction) -> DebugFunction:
        _functions[name] = function
        return function

    return keep


def names() -> list[str]:
    return sorted(_functions)


def call(ranks: Sequence[Rank], name: str, args: Sequence[Any]) -> list[Any]:
    """Each rank's result, or the exception it raised. LookupError names what there is."""
    if name not in _functions:
        raise LookupError(f"no debug function {name!r}; there are {', '.join(names())}")
    return [_call_one(rank, name, args) for rank in ranks]


def _call_one(rank: Rank, name: str, args: Sequence[Any]) -> Any:
    try:
        return _functions[name](rank, *args)
    except Exception as error:  # a rank's failure is its result; the others still answer
        return error


@register("raylax.debug.rank")
def describe_rank(rank: Rank) -> dict[str, Any]:
    return rank.describe()


@register("raylax.debug.seconds_by_operator")
def seconds_by_operator(rank: Rank) -> dict[str, float]:
    """Where the time of the rank's last step went."""
    return rank.model.seconds_by_operator()
