"""What a router knows of its workers at one moment, as columns: one row a worker.

Policies compute with whole columns, so that a choice among a thousand workers costs little more
than one among ten. Times are in seconds on the router's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]


@dataclass(slots=True)
class WorkerView:
    """One row as a value: for looking at one worker, and for writing a fleet as a table."""

    id: str
    todo: float = 0.0
    """Prompt tokens that wait for their prefill there, as it said when its step began."""
    running: float = 0.0
    waiting: float = 0.0
    decoding: float = 0.0
    context: float = 0.0
    """Tokens in the KV pages of those that decode."""
    kv: float = 0.0
    """Tokens' worth of KV pages that are held, or will be by those that wait."""
    kv_capacity: float = 1.0
    room: float = 256.0
    """Prefill tokens that a step takes beside those who decode."""
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    """Seconds of its steps, as in `raylax.proto.vocabulary.StepTime`."""
    step_began: float = 0.0
    """When the state above was true: between two steps."""
    heard_at: float = 0.0
    """When it was last heard from."""
    pending: float = 0.0
    """Prompt tokens, not known to be cached, that this router has sent and no report knows yet."""
    pending_kv: float = 0.0
    pending_since: float = 0.0
    """When the first of them was sent."""
    own_tokens: float = 0.0
    """Prompt tokens of this router's requests in flight there."""
    own_requests: float = 0.0
    ready: bool = True
    """Whether it may be given requests: it has reported, does not drain, its circuit is closed."""


COLUMNS = tuple(field.name for field in fields(WorkerView) if field.name != "id")


class Fleet:
    """The table: a column for each field of WorkerView. Rows of workers that left are reused."""

    todo: Reals
    running: Reals
    waiting: Reals
    decoding: Reals
    context: Reals
    kv: Reals
    kv_capacity: Reals
    room: Reals
    a: Reals
    b: Reals
    c: Reals
    d: Reals
    step_began: Reals
    heard_at: Reals
    pending: Reals
    pending_kv: Reals
    pending_since: Reals
    own_tokens: Reals
    own_requests: Reals
    ready: npt.NDArray[np.bool_]

    def __init__(self, rows: int = 8) -> None:
        self.ids: list[str] = []
        """The worker of each row; empty for a row that none has."""
        self.id_hashes: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.now = 0.0
        self.routers = 1
        """Routers that send to these workers, this one included."""
        self._row_of: dict[str, int] = {}
        for name in COLUMNS:
            setattr(self, name, np.zeros(0, bool if name == "ready" else np.float64))
        self._grow(rows)

    @classmethod
    def of(cls, workers: Sequence[WorkerView], now: float = 0.0, routers: int = 1) -> Self:
        """A fleet of these rows, in this order."""
        fleet = cls(len(workers))
        fleet.now, fleet.routers = now, routers
        for worker in workers:
            row = fleet.add(worker.id)
            for name in COLUMNS:
                getattr(fleet, name)[row] = getattr(worker, name)
        return fleet

    def __repr__(self) -> str:
        return f"Fleet({', '.join(map(repr, self.views()))})"

    def __len__(self) -> int:
        """Workers, ready or not."""
        return len(self._row_of)

    def add(self, worker: str) -> int:
        """Add a worker, of which nothing is known yet; returns its row."""
        if worker in self._row_of:
            return self._row_of[worker]
        row = self.ids.index("") if "" in self.ids else self._grow(max(8, len(self.ids)))
        self.ids[row] = worker
        self.id_hashes[row] = stable_hash(worker)
        self._row_of[worker] = row
        self._set(row, WorkerView(worker, ready=False))
        return row

    def remove(self, worker: str) -> None:
        """Free the row of a worker. Raises KeyError for one that is not here."""
        row = self._row_of.pop(worker)
        self.ids[row] = ""
        self._set(row, WorkerView("", ready=False))

    def row(self, worker: str) -> int:
        """Raises KeyError for one that is not here."""
        return self._row_of[worker]

    def __contains__(self, worker: str) -> bool:
        return worker in self._row_of

    def rows(self) -> npt.NDArray[np.intp]:
        """The rows of those that may be given requests."""
        return self.ready.nonzero()[0]

    def view(self, worker: str) -> WorkerView:
        """The row of a worker. Raises KeyError for one that is not here."""
        row = self.row(worker)
        values: dict[str, Any] = {name: getattr(self, name)[row].item() for name in COLUMNS}
        return WorkerView(worker, **values)

    def views(self) -> list[WorkerView]:
        """The rows of all workers, by name."""
        return [self.view(worker) for worker in sorted(self._row_of)]

    def _set(self, row: int, view: WorkerView) -> None:
        for name in COLUMNS:
            getattr(self, name)[row] = getattr(view, name)

    def _grow(self, more: int) -> int:
        """The first of the new rows."""
        first = len(self.ids)
        self.ids += [""] * more
        self.id_hashes = np.append(self.id_hashes, np.zeros(more, np.uint64))
        for name in COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.append(column, np.zeros(more, column.dtype)))
        return first


def stable_hash(text: str) -> int:
    """64 bits that are the same in every process: routers agree on a session's worker."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
