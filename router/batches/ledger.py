"""Where a batch stands, for the one who holds its lease: what is left, what has come, what is kept.

Each method is a step that can be done again by whoever comes after a death in the middle of it.
"""

import time
from collections.abc import Generator
from pathlib import Path

from raylax.proto.openai.batches.batch import BatchErrors, RequestCounts
from raylax.router.batches.lines import (
    ENVELOPE_BYTES,
    ReadLine,
    check_input,
    lines_of,
    read_line,
)
from raylax.router.batches.results import NO_ROOM, Result, Results, unanswered
from raylax.router.files.disk import Lease
from raylax.router.files.records import (
    ERRORS,
    INPUT,
    OUTPUT,
    BatchRecord,
    Ending,
    cancelled_at,
    record_at,
    save,
)
from raylax.router.files.storage import TenantStorage


class BatchLedger:
    """The books of one batch. One thread at a time goes through them, beside the loop, which adds
    results."""

    def __init__(
        self, tenant: TenantStorage, path: Path, record: BatchRecord, lease: Lease
    ) -> None:
        self.tenant, self.path, self.record, self.lease = tenant, path, record, lease
        self.results = Results(path / OUTPUT, path / ERRORS)
        self._found = dict(self.results.counts)
        self._room = tenant.room + self.results.bytes
        self._stopped = False

    @classmethod
    def open(cls, tenant: TenantStorage, batch_id: str, lease: Lease) -> "BatchLedger | None":
        """None, and the lease is ended, for a batch that is not there: whoever made it has died."""
        path = tenant.batches / batch_id
        if (record := record_at(path)) is None:
            lease.end()
            return None
        return cls(tenant, path, record, lease)

    def early_end(self, now: float) -> Ending | None:
        """Why no more lines are to be answered; None: they are."""
        if cancelled_at(self.path) is not None:
            return "cancelled"
        return "expired" if now >= self.record.batch.expires_at else None

    def stop(self) -> None:
        """Have what takes long return early: somebody else will do it."""
        self._stopped = True

    def check(self) -> None:
        """Look at all lines: it is in progress then, or has failed."""
        batch, most = self.record.batch, self.tenant.limits.max_body_bytes
        checked = check_input(self.path / INPUT, batch.endpoint, most, lambda: self._stopped)
        if self._stopped:
            return
        batch.request_counts = RequestCounts(total=checked.lines)
        if checked.errors:
            batch.errors = BatchErrors(data=checked.errors)
            batch.status, batch.failed_at = "failed", int(time.time())
        else:
            batch.status, batch.in_progress_at = "in_progress", int(time.time())
        save(self.path, self.record)

    def left(self) -> Generator[ReadLine]:
        """The lines that have no result."""
        longest = self.tenant.limits.max_body_bytes + ENVELOPE_BYTES
        with (self.path / INPUT).open("rb") as file:
            for line in lines_of(file, longest):
                if line.number not in self.results.done:
                    yield read_line(line)

    def add(self, line: ReadLine, result: Result) -> None:
        """The result of a line; in its place an error where the tenant has no room for it."""
        if self.results.bytes + len(result.text) > self._room:
            most = self.tenant.limits.max_files_bytes
            said = f"your files may have {most} bytes together: there is no room for the answer"
            result = unanswered(self.record.batch.id, line.number, line.custom_id, NO_ROOM, said)
        self.results.add(result)

    @property
    def added(self) -> dict[str, int]:
        """Lines that have got their result here, by what that is."""
        return {
            name: self.results.counts[failed] - self._found[failed]
            for name, failed in (("completed", False), ("failed", True))
        }

    def keep(self) -> None:
        """What has come outlives the machine's failure, and is counted where others see it."""
        self.results.sync()
        counts, batch = self.results.counts, self.record.batch
        told = RequestCounts(
            total=batch.request_counts.total, completed=counts[False], failed=counts[True]
        )
        if told != batch.request_counts:
            batch.request_counts = told
            save(self.path, self.record)

    def close(self) -> None:
        """Somebody else may go on."""
        self.results.close()
        self.lease.give_back()
