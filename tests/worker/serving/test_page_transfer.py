"""Pages from worker to worker: what cannot be had is computed."""

from pathlib import Path

import pytest

from raylax.proto.vocabulary import Finish
from tests.support.worker_step_server import ServedEngine, serving


async def test_pages_go_from_worker_to_worker(worker: ServedEngine, checkpoint: Path) -> None:
    """Another worker takes them over, and computes only what no full page has."""
    prompt = list(range(5, 5 + 90))
    async with worker.attach() as router:
        router.submit("r", prompt=prompt)
        await router.read(lambda: router.ends("r"))
    async with serving(checkpoint) as other, other.attach() as router:
        router.submit("r", prompt=prompt, pages_at=worker.address)
        await router.read(lambda: router.ends("r"))
        cached = [delta.cached_tokens for delta in router.deltas if delta.token_ids]

    assert cached[0] == 80


async def test_pages_that_cannot_be_kept_are_computed(
    worker: ServedEngine, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails there: a request that has come is answered."""
    prompt = list(range(5, 5 + 90))
    async with worker.attach() as router:
        router.submit("r", prompt=prompt)
        await router.read(lambda: router.ends("r"))
    async with serving(checkpoint) as other, other.attach() as router:
        monkeypatch.setattr(other.engine, "write_pages", lambda names, contents: 1 / 0)
        router.submit("r", prompt=prompt, pages_at=worker.address)
        await router.read(lambda: router.ends("r"))

    assert router.ends("r") == [Finish.LENGTH]


async def test_pages_that_cannot_be_had_are_computed(worker: ServedEngine) -> None:
    """Nobody is at that address."""
    async with worker.attach() as router:
        router.submit("r", prompt=list(range(5, 95)), pages_at="127.0.0.1:9")
        await router.read(lambda: router.ends("r"))

    assert router.ends("r") == [Finish.LENGTH]
