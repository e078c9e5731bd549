"""The end of a batch: its results become files. Who dies in the middle is followed by another."""

import time

from raylax.router.batches.ledger import BatchLedger
from raylax.router.batches.results import unanswered
from raylax.router.files.files import publish
from raylax.router.files.names import new_name
from raylax.router.files.records import ERRORS, INPUT, OUTPUT, Ending, cancelled_at, save
from raylax.router.files.storage import CANCEL

WHY: dict[Ending, tuple[str, str]] = {
    "expired": ("batch_expired", "the batch's time was over before this line was answered"),
    "cancelled": ("batch_cancelled", "the batch was cancelled before this line was answered"),
}


def finish(ledger: BatchLedger, ending: Ending) -> None:
    """Ends a batch that has not ended, as this, unless it is sure already how it ends."""
    record, batch = ledger.record, ledger.record.batch
    if batch.status != "finalizing":
        record.ending = ending
        if batch.status == "in_progress":
            fill(ledger, ending)
        ledger.keep()
        answered, failed = ledger.results.counts[False], ledger.results.counts[True]
        record.output_name = new_name("file") if answered else ""
        record.errors_name = new_name("file") if failed else ""
        batch.status, batch.finalizing_at = "finalizing", int(time.time())
        save(ledger.path, record)
    for name, source, kind in (
        (record.output_name, OUTPUT, "output"),
        (record.errors_name, ERRORS, "error"),
    ):
        if name:
            filename = f"{batch.id}_{kind}.jsonl"
            publish(ledger.tenant, name, ledger.path / source, filename, record.kept_s)
    settle(ledger)
    clear(ledger)


def fill(ledger: BatchLedger, ending: Ending) -> None:
    """An error for each line that has no result, and will have none."""
    if ending in WHY:
        code, message = WHY[ending]
        for line in ledger.left():
            result = unanswered(ledger.record.batch.id, line.number, line.custom_id, code, message)
            ledger.results.add(result)


def settle(ledger: BatchLedger) -> None:
    """It has ended."""
    record, batch, now = ledger.record, ledger.record.batch, int(time.time())
    batch.output_file_id = record.output_name or None
    batch.error_file_id = record.errors_name or None
    batch.status = record.ending
    match record.ending:
        case "completed":
            batch.completed_at = now
        case "expired":
            batch.expired_at = now
        case "cancelled":
            batch.cancelling_at = cancelled_at(ledger.path) or now
            batch.cancelled_at = now
    save(ledger.path, record)


def clear(ledger: BatchLedger) -> None:
    """What was needed to run it goes; its record stays."""
    for name in (INPUT, OUTPUT, ERRORS, CANCEL):
        (ledger.path / name).unlink(missing_ok=True)
    ledger.lease.path.unlink(missing_ok=True)
