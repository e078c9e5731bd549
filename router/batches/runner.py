"""A router's part in the batches of the directory: it takes up those that nobody runs."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from raylax.router.access.caller import Caller
from raylax.router.batches.answering import LineAnswers
from raylax.router.batches.ledger import BatchLedger
from raylax.router.batches.run import run_batch
from raylax.router.calls.models import Models
from raylax.router.files.disk import aside
from raylax.router.files.storage import OpenBatch, Storage
from raylax.router.files.sweeping import sweep
from raylax.router.observe.measures import BatchMeasures

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5
SWEEP_EVERY_S = 600.0
AGAIN_AFTER_S = 30.0
"""After a failure of the disk, or of what lies there."""


def to_take(
    batches: Iterable[OpenBatch], ours: Collection[str], busy: Collection[str]
) -> Iterator[OpenBatch]:
    """Those to be tried, in this order, of which `ours` run here: the oldest of each tenant that is
    not `busy`, so that none is kept waiting by another's; and whatever is only to be ended."""
    for one in batches:
        if one.id not in ours and (one.over or one.folder not in busy):
            yield one


class BatchRunner:
    """Runs batches, one of each tenant. Used on one event loop."""

    def __init__(self, models: Models) -> None:
        """Where the configuration has no directory there is nothing to do."""
        self._models, self._answers = models, LineAnswers(models)
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._ledgers: dict[str, BatchLedger] = {}
        self._rests: dict[str, float] = {}
        self._ended, self._requests = Counter[str](), Counter[str]()
        self._swept = -SWEEP_EVERY_S
        self._closing = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        if (config := models.config).files:
            storage = Storage(Path(config.files), config.limits)
            self._looking = asyncio.create_task(self._keep_looking(storage))

    async def close(self) -> None:
        """Others may go on with what runs here."""
        self._closing.set()
        for ledger in self._ledgers.values():
            ledger.stop()
        if self._looking is not None:
            await self._looking  # who takes something up must know that it has it
        runs = [*self._runs.values()]
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        self._measure(self._models.batches.open)

    async def _keep_looking(self, storage: Storage) -> None:
        while not self._closing.is_set():
            try:
                await self._look(storage)
            except (OSError, ValueError) as error:
                log.warning("the directory of batches cannot be read: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LOOK_EVERY_S)

    async def _look(self, storage: Storage) -> None:
        now = time.monotonic()
        if now >= self._swept + SWEEP_EVERY_S:
            self._swept = now
            await aside(partial(sweep, storage))
        self._rests = {id: until for id, until in self._rests.items() if until > now}
        found = await aside(storage.open_batches)
        busy = {ledger.tenant.folder for ledger in self._ledgers.values()}
        for one in to_take(found, self._runs.keys() | self._rests.keys(), busy):
            if not self._closing.is_set() and await self._took(storage, one):
                busy.add(one.folder)
        self._measure(len(found))

    def _measure(self, open: int) -> None:
        requests = self._requests.copy()
        for ledger in self._ledgers.values():
            requests.update(ledger.added)
        self._models.batches = BatchMeasures(
            open=open, running=len(self._runs), ended=self._ended, requests=requests
        )

    async def _took(self, storage: Storage, one: OpenBatch) -> bool:
        """Whether the batch runs here from now on."""
        try:
            ledger = await aside(partial(taken, storage, one))
        except (OSError, ValueError) as error:
            self._rest(one.id, error)
            return False
        if ledger is None:
            return False
        caller = self._models.authenticator.on_behalf_of(ledger.record.tenant, one.id)
        if caller is None:
            ledger.close()
            self._rest(one.id, KeyError("its tenant has no key any more"))
            return False
        self._ledgers[one.id] = ledger
        self._runs[one.id] = asyncio.create_task(self._run(ledger, caller))
        return True

    def _rest(self, id: str, why: BaseException) -> None:
        log.warning("%s cannot go on, and is tried again later: %s", id, why)
        self._rests[id] = time.monotonic() + AGAIN_AFTER_S

    async def _run(self, ledger: BatchLedger, caller: Caller) -> None:
        id = ledger.record.batch.id
        try:
            await run_batch(ledger, caller, self._answers)
            self._ended[ledger.record.batch.status] += 1
        except* (OSError, ValueError) as failed:
            self._rest(id, failed.exceptions[0])
        finally:
            ledger.close()
            self._requests.update(ledger.added)
            del self._runs[id], self._ledgers[id]


def taken(storage: Storage, batch: OpenBatch) -> BatchLedger | None:
    """The batch's books; None where somebody else has them."""
    if (lease := batch.lease()) is None:
        return None
    try:
        return BatchLedger.open(storage.within(batch.folder), batch.id, lease)
    except BaseException:
        lease.give_back()
        raise
