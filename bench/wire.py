"""What TLS between machines costs: the same messages at this machine's own address, and at another.

    python bench/wire.py [--rounds 7]

All ends are on this machine, each pair in one process; rounds interleave the two. README.md says what
the rows mean.
"""

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.frames import Connection, ask
from raylax.proto.wire.introduction import Introduction
from raylax.worker.comm.tcp.acceptor import Listener
from raylax.worker.comm.tcp.communicator import TcpCommunicator
from raylax.worker.serving.listener import HelloListener

PLAIN, SEALED = "127.0.0.1", "127.0.0.2"
TOKEN = "bench"
REPORT = bytes(400)
"""About a step's report of eight sequences."""
HOPS, PAGES, PAGE_BYTES = 1000, 64, 1 << 20
SUMS = {"8 KB": (8 << 10, 300), "1 MB": (1 << 20, 30)}
GROUP_S = 60.0
Figures = dict[str, float]


async def hop_us(host: str) -> float:
    """From the sending of a report to its answer, half of that."""

    def echo(connection: Connection, hello: pb.Hello) -> None:
        connection.on_message = connection.send

    listener = HelloListener(TOKEN, echo)
    address, back = await listener.open(host), asyncio.Queue[bytes]()
    connection = Connection(back.put_nowait, lambda how, why: None, GROUP_S)
    connection.connect(address, Introduction(TOKEN, pb.Hello().SerializeToString()))
    for hop in range(HOPS + 100):
        if hop == 100:
            begun = time.process_time()
        connection.send(REPORT)
        await back.get()
    took = time.process_time() - begun
    connection.abort()
    listener.close("")
    return took / HOPS / 2 * 1e6


async def pages_mb_s(host: str) -> float:
    """As a worker fetches them, a MiB in each message."""
    page = np.random.default_rng(1).bytes(PAGE_BYTES)

    def send(connection: Connection, hello: pb.Hello) -> None:
        async def all_of_them() -> None:
            for _ in range(PAGES):
                await connection.writable.wait()
                connection.send(page)
            connection.end()

        sending.append(asyncio.create_task(all_of_them()))

    sending: list[asyncio.Task[None]] = []
    listener = HelloListener(TOKEN, send)
    address, begun = await listener.open(host), time.process_time()
    hello = pb.Hello().SerializeToString()
    size = sum([len(part) async for part in ask(address, hello, GROUP_S, TOKEN)])
    took = time.process_time() - begun
    listener.close("")
    return size / took / 1e6


def sum_us(host: str, size: int, times: int) -> float:
    """An allreduce of two ranks, as tensor parallelism over TCP has it twice a layer."""
    with Listener(host) as listener:
        made: list[TcpCommunicator] = []
        other = threading.Thread(
            target=lambda: made.append(
                TcpCommunicator.join(listener.address, 1, 2, TOKEN.encode(), GROUP_S, host)
            )
        )
        other.start()
        first = TcpCommunicator.lead(listener, 2, TOKEN.encode(), GROUP_S)
        other.join()
    second = made[0]

    def work(comm: TcpCommunicator) -> None:
        array = np.zeros(size // 4, np.float32)
        for _ in range(times):
            comm.allreduce(array)

    thread = threading.Thread(target=work, args=(second,))
    begun = time.process_time()
    thread.start()
    work(first)
    thread.join()
    took = time.process_time() - begun
    first.close()
    second.close()
    return took / times * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    measures: dict[str, Callable[[str], float]] = {
        "a step's hop, us": lambda host: uvloop.run(hop_us(host)),
        "pages, MB/s": lambda host: uvloop.run(pages_mb_s(host)),
        **{
            f"allreduce of {name}, us": lambda host, size=size: sum_us(host, *size)  # type: ignore[misc]
            for name, size in SUMS.items()
        },
    }
    table = Table("", "plain", "TLS", "ratio", box=None)
    for name, measure in measures.items():
        found = [(measure(PLAIN), measure(SEALED)) for _ in range(rounds)]
        plain, sealed = (statistics.median(column) for column in zip(*found, strict=True))
        ratio = statistics.median(two / one for one, two in found)
        table.add_row(name, f"{plain:.0f}", f"{sealed:.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
