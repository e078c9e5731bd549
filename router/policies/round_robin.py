"""Each worker in turn."""

from collections.abc import Sequence

from raylax.router.policy import Choice, Routing, WorkerView


class RoundRobin:
    def choose(self, request: Routing, workers: Sequence[WorkerView]) -> Choice:
        worker = workers[request.ordinal % len(workers)]
        return Choice(worker.id, f"turn {request.ordinal} of {len(workers)} workers")
