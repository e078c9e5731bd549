"""What a sequence costs that moves to another worker: its pages fetched, or computed again.

    python bench/handover.py [CHECKPOINT] [--tokens 64 256 1024] [--rounds 5] [--quantization q0bf16]
                             [--shards 1 2] [--stages 1 2]

Two engines in one process, without a checkpoint of the demo model; each has all cores while it works.
`--shards` and `--stages` are of the engine that has the pages, then of the one that wants them, or
one number for both. README.md says what the rows mean.
"""

import argparse
import asyncio
import statistics
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.models.lookup import find_model
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Request, Sampling
from raylax.router.workers.connection import WorkerConnection
from raylax.router.workers.inbox import Inbox, WorkerOutput
from raylax.worker.config import EngineConfig
from raylax.worker.serving.worker import Worker

TOKEN = "bench"


async def started_worker(name: str, checkpoint: Path, config: EngineConfig) -> Worker:
    worker = Worker(name, "model", str(checkpoint), "cpu")
    await worker.start(config, "server", "127.0.0.1", TOKEN)
    return worker


def configs(options: argparse.Namespace) -> list[EngineConfig]:
    """Of the engine that has the pages, and of the one that wants them."""
    return [
        EngineConfig(
            quantization=options.quantization,
            max_num_sequence=4,
            tensor_parallel_shards=options.shards[at],
            pipeline_parallel_stages=options.stages[at],
        )
        for at in (0, -1)
    ]


class Heard:
    """Hears what a connection hears: here, that the worker has reported."""

    def __init__(self) -> None:
        self.report = asyncio.Event()

    def reported(self, connection: WorkerConnection, report: pb.StepReport) -> None:
        self.report.set()

    def lost(self, connection: WorkerConnection) -> None:
        self.report.set()


async def seconds_to_token(worker: Worker, request: Request) -> float:
    """From its submission to the first token, by way of the worker's stream."""
    heard, inbox = Heard(), Inbox(on_full=lambda: None)
    connection = WorkerConnection(worker.worker_id, worker.address, TOKEN, heard)
    await heard.report.wait()
    begun = time.perf_counter()
    connection.submit(request, 1, inbox)
    while True:
        for item in await inbox.take():
            assert isinstance(item, WorkerOutput), item
            if item.delta.token_ids:
                connection.lose("that was it")
                return time.perf_counter() - begun


async def compare(workers: list[Worker], tokens: int, rounds: int) -> tuple[float, float, float]:
    """Median seconds: computed again, with its pages, and with everything cached already."""
    old, new = workers
    prompt = tuple(5 + (7 * i) % 90 for i in range(tokens))
    request = Request("r", prompt, 2, Sampling(temperature=0.0))
    again, pages, cached = [], [], []
    for number in range(rounds):
        await seconds_to_token(old, Request(f"o{number}", prompt, 2, Sampling(temperature=0.0)))
        for times, address in ((again, ""), (pages, old.address)):
            await asyncio.to_thread(new.engine.reset)
            named = Request(f"r{number}{address}", prompt, 2, request.sampling, pages_at=address)
            times.append(await seconds_to_token(new, named))
        named = Request(f"c{number}", prompt, 2, request.sampling)
        cached.append(await seconds_to_token(new, named))
    return statistics.median(again), statistics.median(pages), statistics.median(cached)


async def bench(options: argparse.Namespace, checkpoint: Path) -> None:
    old, new = configs(options)
    workers = [
        await started_worker("old", checkpoint, old),
        await started_worker("new", checkpoint, new),
    ]
    table = Table("tokens", "again ms", "pages ms", "cached ms", "again / pages")
    for tokens in options.tokens:
        again, pages, cached = await compare(workers, tokens, options.rounds)
        row = (f"{1000 * seconds:.1f}" for seconds in (again, pages, cached))
        table.add_row(str(tokens), *row, f"{again / pages:.2f}")
    Console().print(table)
    await asyncio.gather(*(worker.stop() for worker in workers))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", nargs="?", help="a checkpoint directory (the demo model)")
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 64, 256, 448])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quantization", default="auto")
    parser.add_argument("--shards", type=int, nargs="+", default=[1])
    parser.add_argument("--stages", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    given = {"model": options.checkpoint} if options.checkpoint else {}
    checkpoint, _ = find_model(ClusterConfig(**given))
    asyncio.run(bench(options, checkpoint))


if __name__ == "__main__":
    main()
