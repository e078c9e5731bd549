"""What the engines of a model have done together."""

from collections.abc import Mapping
from typing import Any

Numbers = dict[str, Any]
RATES = {
    "prefill_tokens_per_s": ("prefill_tokens_sum", "engine_prefill_time_sum"),
    "decode_tokens_per_s": ("decode_tokens_sum", "engine_decode_time_sum"),
}


def together(by_worker: Mapping[str, Numbers]) -> Numbers:
    """The numbers of the one engine; of several their sums, the rates that these come to, and the
    numbers of each by `workers`."""
    if len(by_worker) == 1:
        return next(iter(by_worker.values()))
    all_of = list(by_worker.values())
    names = [name for name in all_of[0] if name.endswith("_sum")]
    sums = {name: sum([numbers[name] for numbers in all_of]) for name in names}
    rates = {
        name: sums[tokens] / sums[seconds]
        for name, (tokens, seconds) in RATES.items()
        if sums[seconds] > 0
    }
    return {**sums, **rates, "workers": dict(by_worker)}
