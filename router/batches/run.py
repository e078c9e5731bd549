"""One batch from where it stands to its end, whoever began it.

    validating ── failed
        └──────── in progress ── finalizing ── completed, expired or cancelled

Every line that was found right has one result in the end, however often a router dies.
"""

import asyncio
import time
from contextlib import closing
from dataclasses import replace
from functools import partial

from raylax.proto.openai.batches.batch import ENDED
from raylax.router.access.caller import Caller
from raylax.router.batches.answering import LineAnswers
from raylax.router.batches.ending import clear, finish
from raylax.router.batches.ledger import BatchLedger
from raylax.router.batches.lines import ReadLine
from raylax.router.batches.results import answered
from raylax.router.files.disk import aside
from raylax.router.files.records import Ending

KEEP_EVERY_S = 1.0
"""How often results are made to outlive the machine's failure; how soon who runs a batch hears that
it is cancelled."""


async def run_batch(ledger: BatchLedger, caller: Caller, answers: LineAnswers) -> None:
    """Returns when it has ended. Who cancels this leaves the rest to another router. Raises OSError
    where the disk fails."""
    batch = ledger.record.batch
    ending = await aside(partial(ledger.early_end, time.time()))
    if batch.status == "validating" and ending is None:
        await aside(ledger.check)
        if batch.status == "validating":  # it was told to stop
            return
    if batch.status == "in_progress" and ending is None:
        ending = await answer_lines(ledger, caller, answers)
    if batch.status in ENDED:
        await aside(partial(clear, ledger))
    else:
        await aside(partial(finish, ledger, ending or "completed"))


async def answer_lines(ledger: BatchLedger, caller: Caller, answers: LineAnswers) -> Ending:
    """Answers the lines that are left, until there are none, or it is to end early."""
    running = asyncio.create_task(begin_lines(ledger, caller, answers))
    try:
        while True:
            done, _ = await asyncio.wait([running], timeout=KEEP_EVERY_S)
            if done:
                running.result()
                return "completed"
            await aside(ledger.keep)
            if (ending := await aside(partial(ledger.early_end, time.time()))) is not None:
                return ending
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def begin_lines(ledger: BatchLedger, caller: Caller, answers: LineAnswers) -> None:
    """Begins one after the other, each when the one before it has begun; returns when all have
    ended."""

    async def answer(line: ReadLine, begun: asyncio.Event) -> None:
        batch = ledger.record.batch
        request_id = f"{batch.id}_{line.number}"
        whose = replace(caller, request_id=request_id)
        told = await answers.answer(batch.endpoint, line.body, whose, begun)
        result = answered(batch.id, line.number, line.custom_id, told.status, request_id, told.body)
        ledger.add(line, result)

    async with asyncio.TaskGroup() as lines:
        with closing(ledger.left()) as left:
            while (line := await aside(partial(next, left, None))) is not None:
                begun = asyncio.Event()
                lines.create_task(answer(line, begun))
                del line
                await begun.wait()
