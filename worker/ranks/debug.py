"""Functions that `debug_call_func_on_all_worker` can run on every rank, by name."""

import pickle
import time
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from raylax.kernels.cuda.device import cudart
from raylax.worker.comm.base import Gatherer
from raylax.worker.comm.objects import allgather_object, broadcast_object
from raylax.worker.event_ring import MOST_EVENTS
from raylax.worker.ranks.rank import Rank
from raylax.worker.ranks.rank_trace import RankTrace

DebugFunction = Callable[..., Any]
_functions: dict[str, DebugFunction] = {}


def register(name: str) -> Callable[[DebugFunction], DebugFunction]:
    """A decorator that makes `function(rank, *args)` callable under a name. Registering again
    replaces it."""

    def keep(function: DebugFunction) -> DebugFunction:
        _functions[name] = function
        return function

    return keep


def names() -> list[str]:
    """Every function that is registered in this process."""
    return sorted(_functions)


def check(name: str) -> None:
    """Raises LookupError for a name that is not registered; it names what there is."""
    if name not in _functions:
        raise LookupError(f"no debug function {name!r}; there are {', '.join(names())}")


def check_for_others(name: str, args: Sequence[Any]) -> None:
    """Check a call before other ranks wait for it. Raises LookupError for a name that is not
    registered, TypeError for arguments that cannot be sent."""
    check(name)
    try:
        pickle.dumps(args)
    except Exception as error:
        raise TypeError(f"the arguments cannot be sent: {error}") from error


def call(rank: Rank, name: str, args: Sequence[Any], group: Gatherer | None = None) -> list[Any]:
    """The leader's side of a call: in order of rank each one's result, or the exception it raised.

    The other ranks `take_part` by the same group; without one, only this rank is called. Raises
    LookupError for a name that is not registered.
    """
    check(name)
    home = _functions[name].__module__
    if group is None:
        return [_call_one(rank, name, args, home)]
    return _call_all(rank, group, (name, args, home))


def take_part(rank: Rank, group: Gatherer) -> None:
    """Every other rank's side of the leader's next call."""
    _call_all(rank, group, None)


def _call_all(rank: Rank, group: Gatherer, task: Any) -> list[Any]:
    return allgather_object(group, sendable(_call_one(rank, *broadcast_object(group, task))))


def sendable(result: Any) -> Any:
    """The result, or what keeps it from going to another process: no rank may be lost by it."""
    try:
        pickle.loads(pickle.dumps(result))
    except Exception as error:
        return TypeError(f"a result of type {type(result).__name__} cannot be sent: {error}")
    return result


def _call_one(rank: Rank, name: str, args: Sequence[Any], home: str) -> Any:
    """`home`: the module that registers the function, should this process not have it yet."""
    try:
        if name not in _functions:
            import_module(home)
        if name not in _functions:
            raise LookupError(f"no debug function {name!r} on rank {rank.index}")
        return _functions[name](rank, *args)
    except Exception as error:  # a rank's failure is its result; the others still answer
        return error


@register("raylax.debug.rank")
def describe_rank(rank: Rank) -> dict[str, Any]:
    """Who and where the rank is."""
    return rank.describe()


@register("raylax.debug.seconds_by_operator")
def seconds_by_operator(rank: Rank) -> dict[str, float]:
    """Where the time of the rank's last step went."""
    return rank.model.seconds_by_operator()


@register("raylax.debug.weight_checksums")
def weight_checksums(rank: Rank) -> dict[str, dict[str, int]]:
    """CRC-32 of each weight as the rank has it in memory, and as it lies in the store. They differ
    where something wrote to the memory of that rank."""
    return {
        name: {"memory": checksum(held), "store": checksum(stored)}
        for name, (held, stored) in rank.model.weights_and_copies().items()
    }


@register("raylax.debug.last_plan")
def last_plan(rank: Rank) -> dict[str, int]:
    """Number and CRC-32 of the last step plan: ranks whose page tables disagree differ here."""
    plan = rank.plan
    return {} if plan is None else {"step": plan.number, "plan": zlib.crc32(plan.encode())}


@register("raylax.debug.cuda_profiler_start")
def cuda_profiler_start(rank: Rank) -> None:
    """Begin the range that a profiler around the rank's process records."""
    call_profiler(rank, "cudaProfilerStart")


@register("raylax.debug.cuda_profiler_stop")
def cuda_profiler_stop(rank: Rank) -> None:
    """End that range."""
    call_profiler(rank, "cudaProfilerStop")


def call_profiler(rank: Rank, function: str) -> None:
    """A function of CUDA's run time. Raises ValueError where there is no GPU."""
    if not rank.model.options.on_gpu:
        raise ValueError(f"{function} needs a GPU, rank {rank.index} is on a CPU")
    cudart.call(function)


@register("raylax.debug.trace")
def begin_trace(rank: Rank, most: int = MOST_EVENTS) -> None:
    """Keep the last steps of the rank from now on, so many of them."""
    rank.trace = RankTrace(most)


@register("raylax.debug.traced")
def traced(rank: Rank) -> bytes:
    """What was kept, as `raylax.proto.event_trace.ProcessTrace` writes it; nothing if nothing
    is."""
    return b"" if rank.trace is None else rank.trace.process(rank.index).as_bytes()


@register("raylax.debug.clock")
def clock(rank: Rank) -> float:
    """Seconds of the monotonic clock of the rank's process."""
    return time.monotonic()


def checksum(array: Any) -> int:
    """CRC-32 of an array's bytes."""
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data)
