"""Routers that run batches, of a directory that outlives them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai

from raylax.proto.openai.batches.batch import ENDED
from raylax.router.batches.runner import BatchRunner
from tests.support.router_rig import PATIENCE_S, Rig, running_router

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@asynccontextmanager
async def batch_router(
    checkpoint: Path, directory: Path, count: int = 1, **config: Any
) -> AsyncIterator[Rig]:
    """A router with workers of its own."""
    async with (
        running_router(checkpoint, count, files=str(directory), **config) as rig,
        running_batches(rig),
    ):
        yield rig


@asynccontextmanager
async def running_batches(rig: Rig) -> AsyncIterator[BatchRunner]:
    """As a router does while it lives."""
    runner = BatchRunner(rig.models)
    try:
        yield runner
    finally:
        await runner.close()


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    """One of a batch's input."""
    asked: dict[str, Any] = {"max_tokens": 4, "temperature": 0, **body}
    if url == CHAT:
        asked.setdefault("messages", [{"role": "user", "content": custom_id}])
    elif url == COMPLETIONS:
        asked.setdefault("prompt", custom_id)
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": asked}


def jsonl(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def parsed(content: bytes) -> list[dict[str, Any]]:
    """The lines of an output."""
    return [json.loads(one) for one in content.splitlines()]


async def sent(client: openai.AsyncOpenAI, content: bytes, **more: Any) -> Any:
    """The batch that is made of these lines."""
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id,
        completion_window="24h",
        **{"endpoint": CHAT, **more},
    )


async def ended(client: openai.AsyncOpenAI, id: str) -> Any:
    """The batch when it has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if (batch := await client.batches.retrieve(id)).status in ENDED:
                return batch
            await asyncio.sleep(0.02)


async def content_of(client: openai.AsyncOpenAI, id: str | None) -> list[dict[str, Any]]:
    """The lines of a file that a batch has written; none of one that there is not."""
    return [] if id is None else parsed((await client.files.content(id)).content)
