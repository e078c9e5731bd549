"""The workers that this router knows: members come and go, each has a link while it is one."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from raylax.proto.errors import WorkerUnavailable
from raylax.proto.vocabulary import Load, Request
from raylax.router.ledger import Ledger
from raylax.router.links import SILENCE_S, Inbox, Link
from raylax.router.policy import Choice, Policy, Routing

log = logging.getLogger(__name__)
RETRY_AFTER_S = 1.0


class Workers:
    """Links and books, kept in step. Used on one event loop."""

    def __init__(
        self,
        policy: Policy,
        token: str,
        clock: Callable[[], float],
        silence_s: float = SILENCE_S,
    ) -> None:
        self._policy, self._token, self._clock = policy, token, clock
        self._silence_s = silence_s
        self.ledger = Ledger()
        self._links: dict[str, Link] = {}
        self._routed = 0
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Workers({list(self._links.values())}, {self.ledger})"

    def set_members(self, addresses: Mapping[str, str]) -> None:
        """`addresses` by worker id: exactly these are workers now. A lost one is tried again."""
        for worker, link in list(self._links.items()):
            if addresses.get(worker) != link.address:
                link.lose("it left the cluster")
        for worker, address in addresses.items():
            if worker not in self._links:
                self._links[worker] = Link(
                    worker, address, self._token, self._on_load, self._on_lost, self._silence_s
                )

    @property
    def ready(self) -> list[str]:
        return [view.id for view in self.ledger.views()]

    def route(self, request: Request) -> Choice:
        """Ask the policy; raises WorkerUnavailable when there is nobody to choose from."""
        views = self.ledger.views()
        if not views:
            raise WorkerUnavailable("no worker is ready", retry_after_s=RETRY_AFTER_S)
        routing = Routing(request.id, len(request.prompt), self._routed)
        self._routed += 1
        return self._policy.choose(routing, views)

    def submit(self, worker: str, request: Request, inbox: Inbox) -> None:
        self.ledger.sent(worker, request.id, len(request.prompt) + len(request.history))
        self._links[worker].submit(request, inbox)

    def cancel(self, worker: str, request_id: str) -> None:
        self.ledger.ended(worker, request_id)
        if (link := self._links.get(worker)) is not None:
            link.cancel(request_id)

    async def close(self) -> None:
        for link in list(self._links.values()):
            link.lose("the router ends")
        await asyncio.gather(*self._closing)

    def _on_load(self, worker: str, load: Load) -> None:
        self.ledger.open(worker)
        self.ledger.report(worker, load, self._clock())

    def _on_lost(self, link: Link) -> None:
        """Called once by each link, which is known until then: books and links stay in step."""
        del self._links[link.worker]
        self.ledger.close(link.worker)
        log.warning("worker %s at %s is lost: %s", link.worker, link.address, link.lost)
        task = asyncio.get_running_loop().create_task(link.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
