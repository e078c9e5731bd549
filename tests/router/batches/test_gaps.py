"""When a line of a batch may begin, as a table."""

from typing import Any

import pytest

from raylax.router.batches.gaps import gaps
from raylax.router.fleet.table import Fleet, WorkerView

IDLE: dict[str, Any] = {"kv_capacity": 1000.0}


@pytest.mark.parametrize(
    ("workers", "waiting", "count"),
    [
        ([], 0, 0),
        ([IDLE], 0, 1),
        ([IDLE, IDLE], 0, 2),
        ([IDLE, {**IDLE, "ready": False}], 0, 1),
        ([{**IDLE, "running": 5.0, "decoding": 5.0}], 0, 1),
        ([{**IDLE, "waiting": 1.0}], 0, 0),
        ([{**IDLE, "pending": 1.0}], 0, 0),
        ([{**IDLE, "kv": 499.0}], 0, 1),
        ([{**IDLE, "kv": 500.0}], 0, 0),
        ([{**IDLE, "kv": 300.0, "pending_kv": 200.0}], 0, 0),
        ([IDLE, IDLE], 1, 0),
    ],
)
def test_a_line_begins_where_nobody_waits(
    workers: list[dict[str, Any]], waiting: int, count: int
) -> None:
    """At a worker, or for its turn; and while half of the pages are free."""
    fleet = Fleet.of([WorkerView(f"w{n}", **fields) for n, fields in enumerate(workers)])

    assert gaps(fleet, waiting) == count
