"""Our router as a process of its own, on a port that several of them may share.

    python -m routers.ours CHECKPOINT MODEL PORT ADDRESS... < secret

Under the event loop and the HTTP parser that Ray Serve's replicas run on. Says its address when it
serves, and ends with its input.
"""

import asyncio
import random
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.gc_tuning import freeze_heap
from raylax.router.http.app import build_app
from raylax.router.http.endpoints.cluster import NoCluster
from raylax.router.policies import policy_named
from raylax.router.workers.description import describe
from raylax.router.workers.registry import Workers

PATIENCE_S = 20.0
MEMBERS_EVERY_S = 0.25


def listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


async def opened(config: RouterConfig, workers: Workers, address: str, count: int) -> Models:
    """When every worker is known."""
    async with asyncio.timeout(PATIENCE_S):
        while len(workers.ready) < count:  # noqa: ASYNC110  # told by nobody
            await asyncio.sleep(0.02)
    longest = (await describe(address, config.token, PATIENCE_S)).max_sequence_length
    files, models = TextFiles(Path(config.text_files)), Models([config])
    frontend = Frontend.load(files, config.model_name, longest, random.Random())
    models.open(frontend, workers)
    freeze_heap()
    return models


async def keep(workers: Workers, members: dict[str, str]) -> None:
    """As a replica does: a worker that was lost is asked again."""
    while True:
        workers.set_members(members)
        await asyncio.sleep(MEMBERS_EVERY_S)


async def main(checkpoint: str, model: str, port: str, *addresses: str) -> None:
    config = RouterConfig(model, checkpoint, sys.stdin.readline().strip())
    rng = random.Random()
    workers = Workers(policy_named(config.policy), config.token, time.monotonic, rng)
    keeping = asyncio.ensure_future(
        keep(workers, {f"w{number}": address for number, address in enumerate(addresses)})
    )
    models = await opened(config, workers, addresses[0], len(addresses))
    app = build_app(models, NoCluster())
    options: dict[str, Any] = {"http": "httptools", "lifespan": "off", "access_log": False}
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", **options))
    serving = asyncio.ensure_future(server.serve([listener(int(port))]))
    while not server.started:  # noqa: ASYNC110  # told by nobody
        await asyncio.sleep(0.01)
    print(f"http://127.0.0.1:{port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.should_exit = True
    await serving
    keeping.cancel()
    await models.close()
    workers.close()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
