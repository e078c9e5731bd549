"""A worker as a process of its own: says its address, and ends with its input or when drained.

python -m faulty.worker NAME CHECKPOINT < secret
"""

import asyncio
import sys

from raylax.worker.config import EngineConfig
from raylax.worker.serving.worker import Worker

CONFIG = EngineConfig(threads=1, max_num_sequence=8, max_single_sequence_length=1024)


async def main(name: str, checkpoint: str) -> None:
    token = sys.stdin.readline().strip()
    worker = Worker(name, "model", checkpoint, "cpu")
    await worker.start(CONFIG, "server", "127.0.0.1", token)
    print(worker.address, flush=True)
    ends = [asyncio.ensure_future(one) for one in (worker.drained(), end_of_input())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await worker.stop()


async def end_of_input() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
