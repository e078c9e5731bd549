"""The worker with the fewest prompt tokens waiting, then with the fewest requests.

Tokens come first because a prefill is what a new request waits for; equals take turns, so that
an idle cluster fills evenly.
"""

from collections.abc import Sequence

from raylax.router.policy import Choice, Routing, WorkerView


class LeastLoad:
    def choose(self, request: Routing, workers: Sequence[WorkerView]) -> Choice:
        least = min((w.queued_tokens, w.requests) for w in workers)
        equals = [w for w in workers if (w.queued_tokens, w.requests) == least]
        worker = equals[request.ordinal % len(equals)]
        reason = f"{worker.queued_tokens} tokens and {worker.requests} requests there"
        return Choice(worker.id, reason, {w.id: float(w.queued_tokens) for w in workers})
