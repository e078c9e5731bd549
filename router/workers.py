"""The workers that this router knows: members come and go, each has a link while it is one."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from raylax.proto.errors import WorkerUnavailable
from raylax.proto.vocabulary import Load, Request
from raylax.router.ledger import Ledger
from raylax.router.links import Inbox, Link
from raylax.router.policy import Choice, Policy, Routing

log = logging.getLogger(__name__)


class Workers:
    """Links and books, kept in step. Used on one event loop."""

    def __init__(self, policy: Policy, token: str, clock: Callable[[], float]) -> None:
        self._policy, self._token, self._clock = policy, token, clock
        self.ledger = Ledger()
        self._links: dict[str, Link] = {}
        self._routed = 0
        self._closing: set[asyncio.Task[None]] = set()

    def set_members(self, addresses: Mapping[str, str]) -> None:
        """`addresses` by worker id: exactly these are workers now. A lost one is tried again."""
        for worker in [w for w, link in self._links.items() if addresses.get(w) != link.address]:
            self._close(self._links.pop(worker))
        for worker, address in addresses.items():
            if worker not in self._links:
                link = Link(worker, address, self._token, self._on_load, self._on_lost)
                self._links[worker] = link

    @property
    def ready(self) -> list[str]:
        return [view.id for view in self.ledger.views()]

    def route(self, request: Request) -> Choice:
        """Ask the policy; raises WorkerUnavailable when there is nobody to choose from."""
        views = self.ledger.views()
        if not views:
            raise WorkerUnavailable("no worker is ready", retry_after_s=1.0)
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
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links), *self._closing)

    def _on_load(self, worker: str, load: Load) -> None:
        self.ledger.open(worker)
        self.ledger.report(worker, load, self._clock())

    def _on_lost(self, worker: str) -> None:
        self.ledger.close(worker)
        if (link := self._links.pop(worker, None)) is not None:
            log.warning("worker %s at %s is lost: %s", worker, link.address, link.lost)
            self._close(link)

    def _close(self, link: Link) -> None:
        task = asyncio.get_running_loop().create_task(link.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
