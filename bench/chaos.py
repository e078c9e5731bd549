"""Clients, a router and three workers to which something happens every two seconds.

    python bench/chaos.py [CHECKPOINT] [--seconds 300] [--requests 200] [--workers 3] [--seed 1]
                          [--formed 0.5]
    python bench/chaos.py --cluster [ROLE ...] [BLOW ...]

Each worker is a process, behind a network of ours; without a checkpoint the demo model. Every answer
must be the one of an undisturbed run, chunk for chunk. With `--formed` this share of them is asked
for in a form, as JSON of a schema, by a regular expression, a grammar or a call that must be made,
and has to have it. README.md says what the rows mean. Exits with
1 if an answer was lost, differed or had not its form. `--cluster` strikes a real `raylax serve` instead, each of its
processes once with KILL and once with STOP, takes memory, descriptors and the disk away, and looks
how long it does not answer.
"""

import argparse
import asyncio
import logging
import random
import secrets
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from faulty.asks import Answer, Ask, Heard, asks, heard
from faulty.blows import strike_cluster
from faulty.chaos_ends import ChaosEnds, report
from faulty.forms import what_is_wrong
from faulty.members import STRUCK
from faulty.place import Place
from faulty.pressure import BLOWS as CLUSTER_BLOWS
from faulty.pressure import blows_of
from rich.console import Console
from rich.progress import Progress

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.models.lookup import find_model
from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.config import RouterConfig, RouterLimits
from raylax.router.http.app import build_app
from raylax.router.http.endpoints.cluster import NoCluster
from raylax.router.observe.timeline import Timeline, TimelineEvent
from raylax.router.policies import DEFAULT, policy_named
from raylax.router.workers.description import describe
from raylax.router.workers.registry import Workers

CLIENTS = 8
PATIENCE_S = 120.0
"""For workers to come back: they are ended faster than a small machine starts them."""
MEMBERS_EVERY_S = 0.25
BLOWS = ("kill", "stop", "drain", "slow", "cut")
CLOCK = time.monotonic


class Cluster:
    """Places, and a router in front of them that knows who is there."""

    def __init__(self, places: list[Place], checkpoint: Path, token: str, seed: int) -> None:
        self.places, self._token = places, token
        self.config = RouterConfig(
            "model", str(checkpoint), token, limits=RouterLimits(worker_patience_s=PATIENCE_S)
        )
        self.models = Models([self.config], CLOCK)
        self.workers = Workers(policy_named(DEFAULT), token, CLOCK, random.Random(seed))
        self.service: Service | None = None

    async def look(self) -> None:
        """Keep the router's members to who is there. Runs until it is cancelled."""
        while True:
            self.workers.set_members({p.name: p.address for p in self.places if p.name})
            await asyncio.sleep(MEMBERS_EVERY_S)

    async def open(self) -> None:
        """Returns when every worker serves."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.workers.ready) < len(self.places):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        described = await describe(self.places[0].address, self._token, PATIENCE_S)
        files, longest = TextFiles(Path(self.config.text_files)), described.max_sequence_length
        frontend = Frontend.load(files, "model", longest, random.Random(1))
        self.service = self.models.open(frontend, self.workers)

    def strike(self, rng: random.Random) -> str:
        """Something happens to one of the workers that are there; what it was."""
        there = [place for place in self.places if place.name in self.workers.ready]
        if not there:
            return "nobody there"
        place, blow = rng.choice(there), rng.choice(BLOWS)
        match blow:
            case "kill":
                place.kill()
            case "stop":
                place.stop(rng)
            case "drain":
                self.workers.drain(place.name)
            case "slow":
                place.slow()
            case "cut":
                place.cut()
        return blow


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[str]:
    """The cluster's tasks and its HTTP server, whose address it gives."""
    tasks = [asyncio.ensure_future(place.keep()) for place in cluster.places]
    tasks.append(asyncio.ensure_future(cluster.look()))
    app = build_app(cluster.models, NoCluster())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve([listener]))
    try:
        await cluster.open()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.should_exit = True
        await serving
        cluster.workers.close()
        await asyncio.gather(*(place.end() for place in cluster.places))


async def undisturbed(client: httpx.AsyncClient, wanted: list[Ask]) -> list[Answer]:
    """The answer to each, a few at a time."""
    turns = asyncio.Semaphore(CLIENTS)

    async def one(ask: Ask) -> Answer:
        async with turns:
            return (await heard(client, ask, CLOCK)).answer

    return list(await asyncio.gather(*map(one, wanted)))


def note_moves(ends: ChaosEnds, service: Service, said: Heard) -> None:
    timeline = service.state.timelines.find(said.call_id)
    losses = [m for m in timeline.events if m.name in ("lost", "handed over")]
    if losses:
        ends.note("moved")
    for loss in losses:
        at = timeline.arrived + loss.at_s
        before = [t for t in said.times if t <= at]
        after = [t for t in said.times if t > at]
        if before and after:
            gap = [one for one in losses if before[-1] < timeline.arrived + one.at_s < after[0]]
            workers = {one.detail.split()[0] for one in gap}
            kind = kind_of(timeline, loss) if len(workers) == 1 else "again"
            ends.gaps[kind].append(after[0] - before[-1])


def kind_of(timeline: Timeline, loss: TimelineEvent) -> str:
    """By what the router found, and whether it had another worker."""
    later = timeline.events[timeline.events.index(loss) + 1 :]
    if later and later[0].name == "waits for a worker":
        return "no other"
    if loss.name == "handed over":
        return "drain"
    return "hang" if "heard" in loss.detail or "progress" in loss.detail else "kill"


async def ask_on(
    client: httpx.AsyncClient,
    service: Service,
    turns: AsyncIterator[tuple[Ask, Answer]],
    ends: ChaosEnds,
) -> None:
    async for ask, want in turns:
        try:
            said = await heard(client, ask, CLOCK)
        except (RuntimeError, httpx.HTTPError) as error:
            ends.note("lost", f"{ask}: {error!r}")
            continue
        ends.note("answered")
        if said.answer != want:
            ends.note("different", f"{ask}:\n  {said.answer}\n  {want}")
        if ask.form is not None:
            ends.note("formed")
            if (wrong := what_is_wrong(ask.form, said.answer)) is not None:
                ends.note("formless", f"{ask}: {wrong}")
        note_moves(ends, service, said)


async def chaos(options: argparse.Namespace, checkpoint: Path, console: Console) -> ChaosEnds:
    token, rng, ends = secrets.token_hex(16), random.Random(options.seed), ChaosEnds()
    places = [Place(i, checkpoint, token) for i in range(options.workers)]
    cluster, blows = Cluster(places, checkpoint, token, options.seed), Counter[str]()
    wanted = asks(options.requests, options.seed, options.formed)
    async with (
        running(cluster) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        assert cluster.service is not None
        console.print("every answer once, undisturbed")
        pairs = list(zip(wanted, await undisturbed(client, wanted), strict=True))
        end, begun = CLOCK() + options.seconds, CLOCK()

        async def turns() -> AsyncIterator[tuple[Ask, Answer]]:
            """Each ask at least once, then on until the time is over."""
            left = list(pairs)
            while left or CLOCK() < end:
                yield left.pop() if left else rng.choice(pairs)

        async def strikes() -> None:
            while True:
                await asyncio.sleep(options.every)
                blows[cluster.strike(rng)] += 1

        with Progress(console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("disturbed", total=options.seconds)

            async def show() -> None:
                while True:
                    progress.update(bar, completed=CLOCK() - begun)
                    await asyncio.sleep(0.2)

            source = turns()
            lock = asyncio.Lock()

            async def mine() -> AsyncIterator[tuple[Ask, Answer]]:
                while True:
                    async with lock:
                        try:
                            turn = await anext(source)
                        except StopAsyncIteration:
                            return
                    yield turn

            beside = [asyncio.ensure_future(strikes()), asyncio.ensure_future(show())]
            try:
                clients = [ask_on(client, cluster.service, mine(), ends) for _ in range(CLIENTS)]
                await asyncio.gather(*clients)
            finally:
                for task in beside:
                    task.cancel()
    starts = [seconds for place in places for seconds in place.starts_s]
    console.print(f"{len(starts)} starts of workers, of {statistics.median(starts):.1f} s (median)")
    report(ends, blows, console)
    return ends


def struck(options: argparse.Namespace) -> bool:
    """Whether a real cluster stands every blow. Roles and blows may be named: `router KILL`."""
    named = {str(role): role for role in STRUCK}
    roles = [named[name] for name in options.cluster if name in named] or list(STRUCK)
    known = [blow.name for blow in CLUSTER_BLOWS]
    blows = [name for name in options.cluster if name in known] or known
    serve = [*([options.checkpoint] if options.checkpoint else []), *options.serve.split()]
    return strike_cluster(options.source, blows_of(roles, blows), serve, Console(width=120))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", nargs="?", help="a checkpoint directory (the demo model)")
    parser.add_argument("--seconds", type=float, default=300.0, help="of disturbance (300)")
    parser.add_argument("--requests", type=int, default=200, help="different ones (200)")
    parser.add_argument("--formed", type=float, default=0.0, help="share with a form (0)")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between blows (2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cluster", nargs="*", metavar="WHAT", help="strike `raylax serve`")
    parser.add_argument("--source", type=Path, help="where the raylax to be struck lies")
    parser.add_argument("--serve", default="--replicas 2", help="its arguments (--replicas 2)")
    options = parser.parse_args()
    if options.cluster is not None:
        sys.exit(not struck(options))
    logging.basicConfig(level=logging.ERROR)
    checkpoint, _ = find_model(
        ClusterConfig(**({"model": options.checkpoint} if options.checkpoint else {}))
    )
    try:
        ends = asyncio.run(chaos(options, checkpoint, Console()))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(bool(ends.wrong or not ends.counts["answered"]))


if __name__ == "__main__":
    main()
