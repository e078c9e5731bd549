"""What this router knows of each worker: its last report, and what was sent there since."""

from dataclasses import dataclass, field

from raylax.proto.vocabulary import Load
from raylax.router.policy import WorkerView


@dataclass
class Account:
    """One worker. `sent` are this router's requests there, with the prompt tokens still to do."""

    load: Load = field(default_factory=Load)
    reported_at: float = 0.0
    sent: dict[str, int] = field(default_factory=dict)


class Ledger:
    """Plain books; the router's event loop is the only writer."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def __repr__(self) -> str:
        return f"Ledger({', '.join(str(view) for view in self.views())})"

    def open(self, worker: str) -> None:
        self._accounts.setdefault(worker, Account())

    def close(self, worker: str) -> None:
        self._accounts.pop(worker, None)

    def report(self, worker: str, load: Load, now: float) -> None:
        if (account := self._accounts.get(worker)) is not None:
            account.load, account.reported_at = load, now

    def sent(self, worker: str, request_id: str, prompt_tokens: int) -> None:
        if (account := self._accounts.get(worker)) is not None:
            account.sent[request_id] = prompt_tokens

    def answered(self, worker: str, request_id: str) -> None:
        """The first token came: its prefill is done."""
        account = self._accounts.get(worker)
        if account is not None and request_id in account.sent:
            account.sent[request_id] = 0

    def ended(self, worker: str, request_id: str) -> None:
        if (account := self._accounts.get(worker)) is not None:
            account.sent.pop(request_id, None)

    def views(self) -> list[WorkerView]:
        """For a policy, sorted by id.

        A report may or may not count what was just sent, so the larger of the two counts holds:
        a burst between two reports then spreads instead of falling on one worker.
        """
        return [
            WorkerView(
                id=worker,
                queued_tokens=max(account.load.queued_tokens, sum(account.sent.values())),
                requests=max(account.load.running + account.load.waiting, len(account.sent)),
                kv_usage=account.load.kv_usage,
            )
            for worker, account in sorted(self._accounts.items())
        ]
