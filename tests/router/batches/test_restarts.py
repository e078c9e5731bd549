"""A batch whose router ends goes on at another one: every line has one result, and the one that it
would have had."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from raylax.router.access.keys import Key, hash_of
from tests.support.batch_routers import (
    content_of,
    ended,
    jsonl,
    line,
    running_batches,
    sent,
)
from tests.support.router_rig import a_router, openai_client_of, running_router, until

LINES = [line(f"ask {n}", max_tokens=3 + n % 5) for n in range(24)]


def results_in(directory: Path) -> int:
    """Lines that have come to something so far."""
    found = [*directory.glob("*/batches/*/output"), *directory.glob("*/batches/*/errors")]
    return sum(one.read_bytes().count(b"\n") for one in found)


def answers(results: list[dict[str, Any]]) -> dict[str, Any]:
    """By line what was said; none has two."""
    said = {one["custom_id"]: one["response"]["body"]["choices"] for one in results}
    assert len(said) == len(results)
    return said


async def test_another_router_goes_on(checkpoint: Path, tmp_path: Path) -> None:
    """Again and again, each time after some more lines."""
    async with (
        running_router(checkpoint, files=str(tmp_path), batch_lines=3) as rig,
        openai_client_of(rig) as client,
    ):
        async with running_batches(rig):
            whole = await ended(client, (await sent(client, jsonl(LINES))).id)
        expected = answers(await content_of(client, whole.output_file_id))
        batch = await sent(client, jsonl(LINES))
        seen = []
        for more in (3, 8, 15):
            rig.workers[0].let_go()
            async with running_batches(rig):
                await until(lambda more=more: results_in(tmp_path) >= more)  # type: ignore[misc]
                rig.workers[0].hold(steps=0)
            seen.append(results_in(tmp_path))
        rig.workers[0].let_go()
        async with running_batches(rig):
            batch = await ended(client, batch.id)

        assert answers(await content_of(client, batch.output_file_id)) == expected
        assert sorted(expected) == sorted(one["custom_id"] for one in LINES)
        assert max(seen) < len(LINES), "none has ended it before the last one"
        assert batch.request_counts.model_dump() == {"total": 24, "completed": 24, "failed": 0}


async def test_of_two_routers_one_runs_it(checkpoint: Path, tmp_path: Path) -> None:
    """When that one is drained, the other one goes on at once."""
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running_router(checkpoint, files=str(tmp_path)))
        other = await stack.enter_async_context(a_router(rig.models.config, rig.workers))
        client = await stack.enter_async_context(openai_client_of(rig))
        runners = [await stack.enter_async_context(running_batches(one)) for one in (rig, other)]
        rig.workers[0].hold(steps=0)
        batch = await sent(client, jsonl(LINES))
        await until(lambda: any(one._runs for one in runners))
        runners.sort(key=lambda one: len(one._runs))
        idle, drained = runners
        before = [*idle._runs], [*drained._runs]
        await drained.close()
        await until(lambda: idle._runs)
        rig.workers[0].let_go()
        batch = await ended(client, batch.id)
        results = await content_of(client, batch.output_file_id)

        assert before == ([], [batch.id])
        assert sorted(answers(results)) == sorted(one["custom_id"] for one in LINES)


async def test_who_has_no_key_any_more_has_nothing_answered(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Until there is one again; others go on meanwhile."""
    keys = tuple(Key(name, hash_of(name)) for name in ("alice", "bob"))
    async with (
        running_router(checkpoint, files=str(tmp_path), keys=keys) as rig,
        openai_client_of(rig) as client,
    ):
        alice, bob = (client.with_options(api_key=key.name) for key in keys)
        hers = await sent(alice, jsonl([line("a")]))
        rig.models.change_keys(keys[1:])
        async with running_batches(rig) as runner:
            await until(lambda: runner._rests)
            his = await ended(bob, (await sent(bob, jsonl([line("b")]))).id)
            rig.models.change_keys(keys)
            waits = await alice.batches.retrieve(hers.id)
        async with running_batches(rig):
            hers = await ended(alice, hers.id)

        assert (his.status, waits.status, hers.status) == ("completed", "validating", "completed")
