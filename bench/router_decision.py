"""What one routing decision costs, by policy and number of workers.

    python bench/router_decision.py [--workers 8 64 256 1000] [--rounds 60]

A fleet of busy workers of all paces, of which one in four has a part of the prompt. A figure is
the least of the rounds' means, in microseconds. `index` is the walk over the prompt's 128 pages to see who has
them, which every policy's caller does once a request.
"""

import argparse
import random
import timeit

from rich.console import Console
from rich.table import Table

from raylax.router.fleet.prefix_index import PrefixIndex
from raylax.router.fleet.table import Fleet, WorkerView
from raylax.router.policies import POLICIES
from raylax.router.policies.base import Policy, RoutingRequest

TOKENS, PAGES = 2048, 128
CALLS = 50
BARS = {64: 50.0, 1000: 500.0}
"""Microseconds that the default policy may take."""


def fleet_of(workers: int, rng: random.Random) -> Fleet:
    def view(number: int) -> WorkerView:
        decoding = rng.randrange(64)
        return WorkerView(
            f"worker-{number}", todo=rng.randrange(8000), running=decoding + 4, waiting=rng.randrange(8), decoding=decoding,
            context=decoding * 900, kv=rng.randrange(300_000), kv_capacity=400_000, room=2048,
            a=0.008, b=rng.uniform(4e-5, 6e-5), c=4e-5, d=5e-8, step_began=9.9, pending=rng.randrange(2000),
            pending_kv=rng.randrange(2000), pending_since=9.95, own_tokens=rng.randrange(9000), own_requests=decoding // 4,
        )  # fmt: skip

    return Fleet.of([view(number) for number in range(workers)], now=10.0, routers=4)


def index_of(workers: int, names: list[int]) -> PrefixIndex:
    index = PrefixIndex()
    for row in range(0, workers, 4):
        index.apply(row, names[: (row * 7) % PAGES], ())
    return index


def microseconds(policy: Policy, fleet: Fleet, request: RoutingRequest, rounds: int) -> float:
    rng = random.Random(0)
    return least(lambda: policy(request, fleet, rng), rounds)


def least(call: object, rounds: int) -> float:
    return min(timeit.repeat(call, number=CALLS, repeat=rounds)) / CALLS * 1e6  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64, 256, 1000])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    table = Table("microseconds", *(f"{workers} workers" for workers in options.workers))
    cells: dict[str, list[str]] = {name: [] for name in (*POLICIES, "index")}
    for workers in options.workers:
        fleet, names = fleet_of(workers, random.Random(1)), list(range(1, PAGES + 1))
        index = index_of(workers, names)
        request = RoutingRequest(
            "request", TOKENS, index.matched(names, workers) * 16, session="session"
        )
        for name, policy in POLICIES.items():
            cells[name].append(f"{microseconds(policy, fleet, request, options.rounds):.1f}")
        walk = least(
            lambda index=index, names=names, workers=workers: index.matched(names, workers),
            options.rounds,
        )
        cells["index"].append(f"{walk:.1f}")
    for name, row in cells.items():
        table.add_row(name, *row)
    Console().print(table)
    for workers, bar in BARS.items():
        print(f"bar for the default policy at {workers} workers: {bar:g} microseconds")


if __name__ == "__main__":
    main()
