"""The books: what each worker said last, and what this router has sent there since.

A report says how a worker stood between two steps, and which of this router's dispatches it had
taken up by then. What was sent later is added here, so that a burst between two reports spreads.
Plain state with the clock as an argument; the router's event loop is the only writer.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from raylax.proto.pages import PAGE_SIZE
from raylax.proto.vocabulary import Load, StepTime
from raylax.router.fleet.table import Fleet


class Dispatch(NamedTuple):
    """A request on its way to a worker."""

    tokens: int
    """Tokens to compute there, as far as is known."""
    kv: int
    """Tokens' worth of pages that it will hold there."""
    at: float


@dataclass
class WorkerAccount:
    """The books of one worker: `pending` by dispatch number, `own` prompt tokens by request,
    and the sums of both: a call may bring thousands."""

    row: int
    load: Load = field(default_factory=Load)
    reported_at: float | None = None
    progressed_at: float = 0.0
    """When its steps last moved on, or it had nothing to do."""
    dispatches: int = 0
    pending: OrderedDict[int, Dispatch] = field(default_factory=OrderedDict)
    pending_tokens: int = 0
    pending_kv: int = 0
    own: dict[str, int] = field(default_factory=dict)
    own_tokens: int = 0

    @property
    def busy(self) -> bool:
        """Whether it had anything to do when it reported last."""
        return self.load.running + self.load.waiting > 0


class Ledger:
    """The accounts of all workers; each is kept as a row of the fleet that policies look at."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self._accounts: dict[str, WorkerAccount] = {}

    def __repr__(self) -> str:
        return f"Ledger({self.fleet})"

    def opened(self, worker: str) -> int:
        """Open the account of a worker, or start that of a known one anew; returns its row."""
        if worker in self._accounts:
            self.closed(worker)
        row = self.fleet.add(worker)
        self._accounts[worker] = WorkerAccount(row)
        return row

    def closed(self, worker: str) -> None:
        """Drop the account of a worker, if it has one."""
        if self._accounts.pop(worker, None) is not None:
            self.fleet.remove(worker)

    def report(
        self, worker: str, load: Load, age_s: float, received: int, routers: int, now: float
    ) -> None:
        """Take in what a worker says of itself. `received`: the highest dispatch that `load` knows;
        `age_s`: seconds since it was true."""
        if (account := self._accounts.get(worker)) is None:
            return
        if account.reported_at is None or load.step != account.load.step or not account.busy:
            account.progressed_at = now
        account.load, account.reported_at = load, now
        while account.pending and next(iter(account.pending)) <= received:
            _, taken_up = account.pending.popitem(last=False)
            account.pending_tokens -= taken_up.tokens
            account.pending_kv -= taken_up.kv
        fleet, row = self.fleet, account.row
        fleet.todo[row] = load.queued_tokens
        fleet.running[row], fleet.waiting[row] = load.running, load.waiting
        fleet.decoding[row], fleet.context[row] = load.decoding, load.context_tokens
        fleet.kv[row] = load.pages_used * PAGE_SIZE + load.queued_tokens
        fleet.kv_capacity[row] = max(1, load.pages_total * PAGE_SIZE)
        fleet.room[row] = max(1, load.prefill_room)
        self._set_step_time(row, load.pace)
        fleet.step_began[row], fleet.heard_at[row] = now - age_s, now
        fleet.ready[row] = not load.draining
        fleet.routers = max(1, routers)
        self._set_pending(account)

    def sent(self, worker: str, request_id: str, tokens: int, kv: int, now: float) -> int:
        """Count a request before it goes; returns its dispatch number. `tokens` are those not known
        to be cached there, `kv` all of its tokens."""
        account = self._accounts[worker]
        account.dispatches += 1
        account.pending[account.dispatches] = Dispatch(tokens, kv, now)
        account.pending_tokens += tokens
        account.pending_kv += kv
        account.own_tokens += kv - account.own.get(request_id, 0)
        account.own[request_id] = kv
        self._set_pending(account)
        self._set_own(account)
        return account.dispatches

    def ended(self, worker: str, request_id: str) -> None:
        """Count a request of this router as no longer there."""
        account = self._accounts.get(worker)
        if account is not None and (kv := account.own.pop(request_id, None)) is not None:
            account.own_tokens -= kv
            self._set_own(account)

    def load_of(self, worker: str) -> Load:
        """The last load that a worker has reported; raises KeyError."""
        return self._accounts[worker].load

    def stuck_for(self, worker: str, now: float) -> float:
        """Seconds without progress beyond what its step may well take; raises KeyError."""
        account = self._accounts[worker]
        if not account.busy:
            return 0.0
        load = account.load
        prefill = min(load.queued_tokens, load.step_tokens)
        expected = load.pace.seconds(prefill, load.decoding, load.context_tokens)
        return now - account.progressed_at - 4 * expected

    def _set_step_time(self, row: int, time: StepTime) -> None:
        fleet = self.fleet
        fleet.a[row], fleet.b[row], fleet.c[row], fleet.d[row] = time.a, time.b, time.c, time.d

    def _set_pending(self, account: WorkerAccount) -> None:
        fleet, row, pending = self.fleet, account.row, account.pending
        fleet.pending[row], fleet.pending_kv[row] = account.pending_tokens, account.pending_kv
        fleet.pending_since[row] = next(iter(pending.values())).at if pending else 0.0

    def _set_own(self, account: WorkerAccount) -> None:
        self.fleet.own_tokens[account.row] = account.own_tokens
        self.fleet.own_requests[account.row] = len(account.own)
