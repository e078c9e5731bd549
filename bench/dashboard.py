"""What pages that watch a cluster take of a router: `python bench/dashboard.py [--workers 64]
[--viewers 1 4 16] [--seconds 20]`.

A router's HTTP interface in this process, and Metrics, which fakes of workers report to every
second; who watches is a process of its own. A viewer's share is this process's CPU time with them,
less that with nobody, over their number. What Metrics takes to answer is counted and shown apart:
it is an actor of its own, and is asked once a second however many watch.
"""

import argparse
import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from raylax.cluster.metrics.record import ClusterRecord
from raylax.router.http.dashboard.feed import MOST_WATCHERS
from raylax.router.http.endpoints.cluster import NoCluster
from tests.support.cluster_reports import report
from tests.support.dashboard import moment
from tests.support.router_rig import running_http, running_router

DEMO = Path(__file__).parents[1] / "deploy" / "demo_model"
VIEWER = """
import sys, urllib.request
while True:
    with urllib.request.urlopen(sys.argv[1] + "/dashboard/events") as told:
        for line in told:
            if line.startswith(b"data: "):
                print(len(line), flush=True)
"""
"""A page: each snapshot's bytes, as it comes; a stream that ends is begun again."""


class Metrics(NoCluster):
    """The actor's answers, of a record that is in this process."""

    def __init__(self, workers: int) -> None:
        self.record, self.spent_s = ClusterRecord(), 0.0
        self._workers = workers

    @contextmanager
    def _counted(self) -> Iterator[None]:
        begun = time.process_time()
        yield
        self.spent_s += time.process_time() - begun

    async def follow(self) -> None:
        """Reports of all workers every second, without end."""
        second = 0
        while True:
            with self._counted():
                now = moment()
                for number in range(self._workers):
                    load = {"running": number % 20, "generated_tokens": 2000 * second}
                    self.record.report(report(f"w{number:03}", **load), now)
                self.record.turn(now)
            second += 1
            await asyncio.sleep(1)

    async def cluster(self) -> str:
        with self._counted():
            return self.record.view(moment()).model_dump_json()

    async def events(self, after: int) -> str:
        with self._counted():
            return self.record.events_after(after).model_dump_json()


async def viewer(url: str) -> tuple[Process, int]:
    """One that has had its first snapshot, and how many bytes that had."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", VIEWER, url, stdout=PIPE)
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


async def busy(metrics: Metrics, seconds: float) -> float:
    """The share of a core that the router takes now, Metrics' work left out."""
    begun, spent = time.process_time(), metrics.spent_s
    await asyncio.sleep(seconds)
    return (time.process_time() - begun - (metrics.spent_s - spent)) / seconds


async def measure(workers: int, viewers: list[int], seconds: float) -> None:
    metrics = Metrics(workers)
    async with running_router(DEMO) as rig, running_http(rig.models, metrics) as url:
        following = asyncio.create_task(metrics.follow())
        watching: list[Process] = []
        quiet = await busy(metrics, seconds)
        print(f"{workers} workers; nobody watches: {100 * quiet:.2f} % of a core")
        try:
            for count in sorted(viewers):
                while len(watching) < count:
                    process, length = await viewer(url)
                    watching.append(process)
                share = (await busy(metrics, seconds) - quiet) / count
                print(f"{count:>3} viewers: {100 * share:.2f} % each, {length / 1e3:.0f} kB/s each")
        finally:
            following.cancel()
            for process in watching:
                process.terminate()
                await process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 4, 16], help="16 at most")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each number of viewers")
    given = parser.parse_args()
    if not all(1 <= count <= MOST_WATCHERS for count in given.viewers):
        parser.error(f"--viewers must be 1 to {MOST_WATCHERS}, found {given.viewers}")
    asyncio.run(measure(given.workers, given.viewers, given.seconds))


if __name__ == "__main__":
    main()
