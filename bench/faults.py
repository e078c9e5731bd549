"""What becomes of a served worker of two ranks when one is lost: killed or stopped, at random steps.

    python bench/faults.py [MODEL] [--times 20] [--seed 1]

Starts `raylax serve` with two shards, without a model the demo model. Beside the faults a few clients
ask without pause. README.md says what the rows mean.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from faulty.ends import Ends
from rich.console import Console
from rich.table import Table

from raylax.cluster.ports import free_ports

PATIENCE_S = 90.0
CLIENTS = 3
BLOWS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Count from 1 to 20"}],
    "temperature": 0, "max_tokens": 100, "ignore_eos": True,
}  # fmt: skip


class Answer(NamedTuple):
    begun: float
    ended: float
    call_id: str


@dataclass
class FaultEnds(Ends):
    """And when those were answered that were. Clients write, the bench reads."""

    answers: list[Answer] = field(default_factory=list)

    def note_reply(self, begun: float, status: int, text: str) -> None:
        self.note({200: "answered", 503: "failed with 503"}.get(status, f"{status}: {text[:80]}"))
        if status == 200:
            with self.lock:
                self.answers.append(Answer(begun, time.monotonic(), json.loads(text)["id"]))

    def after(self, moment: float) -> list[Answer]:
        """Those that were being made then, and have ended."""
        with self.lock:
            return [one for one in self.answers if one.begun < moment < one.ended]


@dataclass(frozen=True)
class Outcome:
    blow: str
    named_s: float
    again_s: float
    words: str


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {PATIENCE_S:g} s")
        time.sleep(0.02)
    return found


@contextmanager
def served(model: str | None) -> Iterator[str]:
    """The address of a cluster with one worker of two ranks."""
    port, grpc_port = free_ports(2)
    options = ["--port", str(port), "--grpc-port", str(grpc_port), "--tensor-parallel-shards", "2"]
    command = [str(Path(sys.executable).with_name("raylax")), "serve", *([model] if model else [])]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [*command, *options], stdout=said, stderr=said, start_new_session=True
        ) as process,
    ):
        url = f"http://127.0.0.1:{port}"

        def up() -> bool:
            if process.poll() is not None:
                said.seek(0)
                sys.exit(said.read().decode())
            try:
                return httpx.get(f"{url}/health").status_code == 200
            except httpx.HTTPError:
                return False

        try:
            until(up, "the start")
            yield url
        finally:
            process.send_signal(signal.SIGINT)


def ask(url: str, ends: FaultEnds, stop: threading.Event) -> None:
    """One client. Without a worker it waits a moment, as it is told to."""
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        while not stop.is_set():
            begun = time.monotonic()
            try:
                answer = client.post("/v1/chat/completions", json=ASK)
                ends.note_reply(begun, answer.status_code, answer.text)
                failed = answer.status_code != 200
            except httpx.HTTPError as error:
                ends.note_reply(begun, 0, repr(error))
                failed = True
            if failed:
                stop.wait(0.05)


def ranks_of(url: str, known: set[str]) -> dict[int, int] | None:
    """Pids by rank of a worker that is ready and not known yet, which is noted."""
    for worker in httpx.get(f"{url}/cluster", timeout=PATIENCE_S).json()["workers"]:
        if worker["state"] == "ready" and worker["worker_id"] not in known:
            known.add(worker["worker_id"])
            return {0: worker["pid"], **{one["rank"]: one["pid"] for one in worker["shards"]}}
    return None


def strike(url: str, ends: FaultEnds, known: set[str], blow: str, rng: random.Random) -> Outcome:
    """The shard of the present worker; the leader's death is Serve's to notice."""
    pids = until(lambda: ranks_of(url, known), "a worker")
    begun = time.monotonic()
    until(lambda: ends.after(begun), "an answer")
    time.sleep(rng.uniform(0.0, 1.0))  # steps take milliseconds
    hit = time.monotonic()
    os.kill(pids[1], BLOWS[blow])
    answer, lost = until(lambda: over_a_loss(url, ends, hit), "an answer over the loss")
    return Outcome(blow, answer.begun + lost["at_s"] - hit, answer.ended - hit, lost["detail"])


def over_a_loss(url: str, ends: FaultEnds, hit: float) -> tuple[Answer, dict[str, Any]] | None:
    """An answer that was being made then, and its loss. Some were complete already, but not here."""
    for answer in ends.after(hit):
        timeline = httpx.get(f"{url}/explain/{answer.call_id}", timeout=PATIENCE_S).json()
        for moment in timeline["moments"]:
            if moment["name"] == "lost":
                return answer, moment
    return None


def table_of(outcomes: list[Outcome]) -> Table:
    table = Table(title="a rank of two is lost under load")
    for column in ("", "times", "named s", "worst", "serves again s", "worst"):
        table.add_column(column, justify="right" if column else "left")
    for blow in BLOWS:
        if own := [one for one in outcomes if one.blow == blow]:
            named, again = [one.named_s for one in own], [one.again_s for one in own]
            figures = (statistics.median(named), max(named), statistics.median(again), max(again))
            table.add_row(blow, str(len(own)), *(f"{figure:.1f}" for figure in figures))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="as for raylax serve")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng, ends, stop, known = random.Random(args.seed), FaultEnds(), threading.Event(), set[str]()
    console, outcomes = Console(), []
    with console.status("starting a cluster") as status, served(args.model) as url:
        clients = [threading.Thread(target=ask, args=(url, ends, stop)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for turn in range(args.times):
                blow = list(BLOWS)[turn % len(BLOWS)]
                status.update(f"{turn + 1} of {args.times}: {blow}")
                outcomes.append(strike(url, ends, known, blow, rng))
        finally:
            stop.set()
            for client in clients:
                client.join()
    console.print(table_of(outcomes))
    console.print("requests: " + ", ".join(f"{n} {end}" for end, n in sorted(ends.counts.items())))
    console.print(f"for example: {outcomes[-1].words}", soft_wrap=True)


if __name__ == "__main__":
    main()
