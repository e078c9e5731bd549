"""Each process of a cluster is struck once with each blow, while clients read:
`chaos.py --cluster`."""

import asyncio
import os
import time
from collections import Counter, deque
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from faulty.members import STRUCK, ServedCluster
from faulty.pressure import WITHOUT_S, Blow, temporary_directory
from faulty.readers import ENDS, Question, Reader, Tally, keep_reading
from raylax.cluster.supervision.roles import VITAL, Role

PATIENCE_S = 90.0
"""For a cluster to answer again."""
START_S = 600.0
HURT_S = 4.0
"""After a blow, how long nothing may be noticed yet: what hangs is ended after two seconds."""
CALM_S = 6.0
"""How long it must have answered before the next blow."""
ASK_EVERY_S = 0.1
MEMBERS_EVERY_S = 0.5
ASK_S = 1.0
CLIENTS = 4


@dataclass(frozen=True)
class Outcome:
    """What a blow has come to."""

    whom: str
    blow: str
    gap_s: float | None
    """The longest time without an answer to a small question; None: it was not answered again."""
    whole_s: float | None
    """Seconds until every process was there again, and ran, from the blow or from when it had what
    it needs again; None: they were not."""
    tally: Tally
    said: str
    """What `raylax serve` said of it."""

    @property
    def back(self) -> bool:
        return self.gap_s is not None and self.whole_s is not None


class Asker:
    """Asks a small question all the time, and knows when it was last answered."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=ASK_S)
        self.answered_at = time.monotonic()
        self.longest_s = 0.0

    async def keep_asking(self) -> None:
        while True:
            body = {"prompt": "Hello", "max_tokens": 1, "temperature": 0}
            try:
                reply = await self._client.post("/v1/completions", json=body)
                if reply.status_code == 200:
                    now = time.monotonic()
                    self.longest_s = max(self.longest_s, now - self.answered_at)
                    self.answered_at = now
            except httpx.HTTPError:
                pass
            await asyncio.sleep(ASK_EVERY_S)

    async def recovered(self, hurt_s: float) -> float | None:
        """The longest gap since the call of this, once there has been none for a while; None: it
        does not come back. For `hurt_s` it may still look well."""
        begun, self.longest_s = time.monotonic(), 0.0
        await asyncio.sleep(hurt_s)
        calm_since: float | None = None
        while time.monotonic() - begun < PATIENCE_S:
            now = time.monotonic()
            if now - self.answered_at > 2 * ASK_S:
                calm_since = None
            elif calm_since is None:
                calm_since = now
            elif now - calm_since > CALM_S:
                return self.longest_s
            await asyncio.sleep(ASK_EVERY_S)
        return None


async def whole_again(
    cluster: ServedCluster, there: Counter[Role], gone: int | None
) -> float | None:
    """Seconds until as many of each role are there as were, and the one that is to be gone is."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        now = cluster.members()
        counts = Counter(now.values())
        if gone not in now and all(counts[r] >= n for r, n in there.items() if r in STRUCK):
            return time.monotonic() - begun
        await asyncio.sleep(MEMBERS_EVERY_S)
    return None


async def wanted(client: httpx.AsyncClient, questions: list[Question]) -> dict[int, str]:
    """Each answer once, undisturbed."""
    want = {}
    for question in questions:
        reader = Reader(client, question)
        await reader.read()
        assert reader.ended, "an undisturbed answer broke off"
        want[question.number] = reader.text
    return want


async def strike(
    cluster: ServedCluster, asker: Asker, tally: Tally, role: Role, blow: Blow
) -> Outcome | None:
    """One of this role, and what it has come to; None where there is none."""
    tally.counts.clear()
    tally.details.clear()
    before, there = len(cluster.said), Counter(cluster.members().values())
    there[Role.HAPROXY] = 1  # one that was reloaded lives on for a while
    if (stricken := cluster.first(role)) is None:
        return None
    lasts_s = 0.0 if blow.ends else WITHOUT_S
    undo = await asyncio.to_thread(blow.strike, stricken, cluster.temporary)

    async def undone() -> float | None:
        await asyncio.sleep(lasts_s)
        undo()
        return await whole_again(cluster, there, stricken if blow.ends else None)

    gap_s, whole_s = await asyncio.gather(asker.recovered(lasts_s + HURT_S), undone())
    became = Tally(tally.counts.copy(), list(tally.details))
    return Outcome(blow.whom or str(role), blow.name, gap_s, whole_s, became, cluster.said[before:])


async def strike_each(
    cluster: ServedCluster, todo: deque[tuple[Role, Blow]], console: Console
) -> list[Outcome]:
    """Under load, until nothing is left to do or a blow was too much for it."""
    questions = [Question(number, number % 2 == 0) for number in range(2 * CLIENTS)]
    outcomes, tally = [], Tally()
    asker = Asker(cluster.url)
    async with httpx.AsyncClient(base_url=cluster.url, timeout=30) as client:
        want = await wanted(client, questions)
        tasks = [
            asyncio.ensure_future(
                keep_reading(client, questions[first:] + questions[:first], want, tally)
            )
            for first in range(CLIENTS)
        ]
        tasks.append(asyncio.ensure_future(asker.keep_asking()))
        try:
            await asyncio.sleep(CALM_S)
            while todo:
                role, blow = todo.popleft()
                if (outcome := await strike(cluster, asker, tally, role, blow)) is None:
                    continue
                outcomes.append(outcome)
                console.print(row_of(outcome))
                if not outcome.back:
                    return outcomes
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes


def row_of(outcome: Outcome) -> str:
    counts = " ".join(f"{end} {outcome.tally.counts[end]}" for end in ENDS)
    gap = "never" if outcome.gap_s is None else f"{outcome.gap_s:.1f} s"
    whole = "never" if outcome.whole_s is None else f"{outcome.whole_s:.1f} s"
    return f"{outcome.whom} {outcome.blow}: {gap}, whole {whole}; {counts}"


def strike_cluster(
    source: Path | None, blows: list[tuple[Role, Blow]], serve: list[str], console: Console
) -> bool:
    """The table; whether all went well. A cluster that does not come back is replaced."""
    if os.geteuid() != 0 and any(blow.needs_a_disk for _, blow in blows):
        console.print("only root mounts a small disk, and so none is filled")
        blows = [(role, blow) for role, blow in blows if not blow.needs_a_disk]
    kinds = groupby(blows, lambda one: one[0] if one[0] in VITAL else None)
    outcomes: list[Outcome] = []
    left: list[int] = []
    for todo in [deque(some) for _, some in kinds]:  # a cluster may not die too often
        while todo:
            with temporary_directory(any(blow.needs_a_disk for _, blow in todo)) as temporary:
                cluster = ServedCluster(temporary, source, *serve)
                try:
                    cluster.wait_until_it_serves(START_S)
                    outcomes += asyncio.run(strike_each(cluster, todo, console))
                finally:
                    left += cluster.end()
    report(outcomes, left, console)
    return not left and all(
        one.back and not one.tally.counts["wrong"] and not one.tally.counts["lost"]
        for one in outcomes
    )


def report(outcomes: list[Outcome], left: list[int], console: Console) -> None:
    table = Table("process", "blow", "gap s", "whole s", *ENDS)
    for one in outcomes:
        times = ["never" if s is None else f"{s:.1f}" for s in (one.gap_s, one.whole_s)]
        table.add_row(one.whom, one.blow, *times, *(str(one.tally.counts[e]) for e in ENDS))
    console.print(table)
    console.print(f"processes left over: {len(left)}")
    for one in outcomes:
        for line in [*one.tally.details, *one.said.splitlines()]:
            if line.strip():
                console.print(f"{one.whom} {one.blow}: {line}", markup=False, soft_wrap=True)
