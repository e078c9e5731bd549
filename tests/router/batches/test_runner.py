"""Which batches a router takes up, and how it answers their lines."""

import errno
from pathlib import Path

import pytest

from raylax.proto.vocabulary import Priority
from raylax.router.access.keys import Key, hash_of
from raylax.router.batches.answering import LineAnswers
from raylax.router.batches.ledger import BatchLedger
from raylax.router.batches.run import run_batch
from raylax.router.batches.runner import taken, to_take
from raylax.router.files.storage import OpenBatch, Storage
from tests.support.batch_routers import (
    batch_router,
    content_of,
    ended,
    jsonl,
    line,
    running_batches,
    sent,
)
from tests.support.router_rig import openai_client_of, running_router, until


def named(id: str, folder: str, over: bool = False) -> OpenBatch:
    return OpenBatch(id, folder, Path(), over)


@pytest.mark.parametrize(
    ("ours", "busy", "taken"),
    [
        ([], [], ["1", "2", "3", "4"]),
        (["1"], ["a"], ["3", "4"]),
        (["1", "3"], ["a", "b"], ["4"]),
        (["4"], [], ["1", "2", "3"]),
    ],
)
def test_each_tenant_has_one_and_what_is_over_is_ended(
    ours: list[str], busy: list[str], taken: list[str]
) -> None:
    """In the order of their making."""
    found = [named("1", "a"), named("2", "a"), named("3", "b"), named("4", "a", over=True)]

    assert [one.id for one in to_take(found, ours, busy)] == taken


def test_who_has_taken_one_makes_its_tenant_busy() -> None:
    """While others are still looked at."""
    busy: set[str] = set()
    taken = []
    for one in to_take([named("1", "a"), named("2", "a"), named("3", "b")], [], busy):
        taken.append(one.id)
        busy.add(one.folder)

    assert taken == ["1", "3"]


async def test_lines_are_of_the_lowest_class_and_of_their_tenant(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Whatever their bodies ask for, and they count as its requests."""
    keys = (Key("alice", hash_of("alice"), share=3.0),)
    async with (
        batch_router(checkpoint, tmp_path, keys=keys) as rig,
        openai_client_of(rig) as nobody,
    ):
        client = nobody.with_options(api_key="alice")
        rig.workers[0].hold(steps=0)
        batch = await sent(client, jsonl([line("a", priority="high")]))
        await until(lambda: len(rig.service.journal))
        (entry,) = rig.service.journal._entries.values()
        rig.workers[0].let_go()
        await ended(client, batch.id)
        usage = rig.models.state.usage.of("alice")

    assert entry.request.priority is Priority.LOW
    assert (entry.request.tenant, entry.request.share) == ("alice", 3.0)
    assert usage.calls == 1


async def test_lines_wait_for_a_worker(checkpoint: Path, tmp_path: Path) -> None:
    """It is none of their fault that there is none."""
    async with (
        running_router(checkpoint, files=str(tmp_path), worker_patience_s=0.01) as rig,
        openai_client_of(rig) as client,
    ):
        members = {one.worker_id: one.address for one in rig.workers}
        rig.router.set_members({})
        await until(lambda: not rig.router.ready)
        async with running_batches(rig) as runner:
            batch = await sent(client, jsonl([line("a"), line("b")]))
            await until(lambda: runner._runs)
            await until(lambda: rig.service.metrics.measures().counters["raylax_calls_failed"][""])
            rig.router.set_members(members)
            batch = await ended(client, batch.id)

        assert batch.request_counts.model_dump() == {"total": 2, "completed": 2, "failed": 0}


async def test_a_limit_of_its_key_has_a_line_wait(checkpoint: Path, tmp_path: Path) -> None:
    """It is asked again, and nothing of it fails."""
    keys = (Key("alice", hash_of("alice"), max_concurrent=1),)
    async with (
        batch_router(checkpoint, tmp_path, keys=keys) as rig,
        openai_client_of(rig) as nobody,
    ):
        client = nobody.with_options(api_key="alice")
        batch = await sent(client, jsonl(line(f"{n}", max_tokens=8) for n in range(4)))
        batch = await ended(client, batch.id)
        output = await content_of(client, batch.output_file_id)

    assert len(output) == 4 and batch.request_counts.failed == 0


async def test_where_the_disk_fails_it_is_tried_again(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other batches go on meanwhile, and the router with them."""
    monkeypatch.setattr("raylax.router.batches.runner.AGAIN_AFTER_S", 0.01)
    async with (
        batch_router(checkpoint, tmp_path) as rig,
        openai_client_of(rig) as client,
    ):
        failures: list[int] = []
        keep = BatchLedger.keep

        def failing_once(ledger: BatchLedger) -> None:
            if not failures:
                failures.append(1)
                raise OSError(errno.ENOSPC, "No space left on device")
            keep(ledger)

        monkeypatch.setattr(BatchLedger, "keep", failing_once)
        batch = await sent(client, jsonl([line("a"), line("b")]))
        batch = await ended(client, batch.id)

    assert failures == [1]
    assert batch.request_counts.completed == 2


async def test_who_is_told_to_stop_leaves_the_batch_as_it_is(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Though nobody has cancelled it yet: another router looks at its lines."""
    async with (
        running_router(checkpoint, files=str(tmp_path)) as rig,
        openai_client_of(rig) as client,
    ):
        batch = await sent(client, jsonl([line("a")]))
        storage = Storage(tmp_path, rig.models.config.limits)
        (one,) = storage.open_batches()
        assert (ledger := taken(storage, one)) is not None
        caller = rig.models.authenticator.on_behalf_of("", "x")
        assert caller is not None
        ledger.stop()
        await run_batch(ledger, caller, LineAnswers(rig.models))
        ledger.close()
        told = await client.batches.retrieve(batch.id)

    assert told.status == "validating"
    assert [again.id for again in storage.open_batches()] == [batch.id]


async def test_batches_and_their_lines_are_counted(checkpoint: Path, tmp_path: Path) -> None:
    """Each line once, though two routers have answered them; what waits for another one of its
    tenant is queued."""
    lines = [line(f"ask {n}") for n in range(6)]
    lines[4]["body"]["max_tokens"] = -1
    async with (
        running_router(checkpoint, files=str(tmp_path), batch_lines=1) as rig,
        openai_client_of(rig) as client,
    ):
        async with running_batches(rig):
            rig.workers[0].hold(steps=0)
            first, second = [await sent(client, jsonl(lines)) for _ in range(2)]
            await until(lambda: rig.models.batches.open == 2)
            await until(lambda: rig.models.batches.running == 1)
            rig.workers[0].let_go()
            await until(lambda: rig.models.batches.requests.get("completed", 0) > 0)
        before = rig.models.batches
        assert before.running == 0
        async with running_batches(rig):
            await ended(client, first.id)
            await ended(client, second.id)
            await until(lambda: rig.models.batches.open == 0)
            after = rig.models.batches
        both = before.model_copy(deep=True)
        both.add(after)

    assert both.ended == {"completed": 2}
    assert both.requests == {"completed": 10, "failed": 2}
