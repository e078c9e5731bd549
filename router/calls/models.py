"""The models that a router serves, by name, and what it remembers of all their calls."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from raylax.proto.errors import ModelNotFound, NotFound, WorkerUnavailable, shown
from raylax.proto.event_trace import ProcessTrace
from raylax.proto.frontend import Frontend
from raylax.proto.openai.responses.kept import RESPONSE_ID, KeptResponse
from raylax.proto.timeline import TimelineSnapshot
from raylax.proto.wire.outlook import Outlook
from raylax.router.access.authentication import Authenticator
from raylax.router.access.byte_budget import ByteBudget
from raylax.router.access.demand import Demand
from raylax.router.access.keys import Key, Keyring
from raylax.router.access.model_names import ModelNames, is_pattern
from raylax.router.access.places import Places
from raylax.router.access.rate_limits import RateLimiter
from raylax.router.calls.lasting import Form, revive
from raylax.router.calls.service import Service
from raylax.router.calls.state import RouterState
from raylax.router.config import RouterConfig
from raylax.router.observe.call_trace import router_trace
from raylax.router.observe.exporter import telemetry
from raylax.router.observe.measures import BatchMeasures, RouterMeasures
from raylax.router.observe.timeline import Timelines
from raylax.router.prompts.parse_pool import ParsePool
from raylax.router.prompts.pool import PromptPool
from raylax.router.resume.answer_log import AnswerLogs
from raylax.router.resume.kept_answers import KeptAnswers
from raylax.router.resume.kept_responses import KeptResponses
from raylax.router.resume.peers import NumberedParts, Peers
from raylax.router.workers.registry import Workers


class Models:
    """The models by name. A model can be asked once a worker of it has been seen: then it is
    opened."""

    def __init__(
        self, configs: Sequence[RouterConfig], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The first one is meant by a request that names none. What is no model's own, as who may
        ask, is the same in all of them."""
        self.config = configs[0]
        self._configs = {config.model_name: config for config in configs}
        self._names = ModelNames({config.model_name: config.aliases for config in configs})
        self._open: dict[str, Service] = {}
        self._demands = {name: Demand() for name in self._configs}
        limits, self._keyring = self.config.limits, Keyring(self.config.keys)
        share_of = self._keyring.share_of
        self.state = RouterState(
            clock,
            share_of,
            RateLimiter(self.config.keys, self.config.routers),
            Places(limits.max_inflight, share_of),
            KeptAnswers(limits.resume_ttl_s, share_of=share_of),
            KeptResponses(
                limits.responses_ttl_s,
                limits.max_responses,
                limits.max_responses_bytes,
                share_of,
            ),
            telemetry(),
            ByteBudget(limits.bodies_bytes, "requests that are being read", share_of),
            ByteBudget(limits.max_answers_bytes, "answers that wait for their readers", share_of),
            AnswerLogs(Path(self.config.answers) if self.config.answers else None),
            PromptPool({c.model_name: c.text_files for c in configs}, limits.prompts, share_of),
            Timelines(share_of=share_of),
            ParsePool(share_of),
        )
        self.forms: dict[str, Form] = {}
        """How each API goes on with an answer of its own, by kind."""
        self.authenticator = Authenticator(
            self._keyring,
            self.state.rate_limiter,
            self.state.telemetry,
            clock,
            random.Random(),
            self.config.share_prefixes,
        )
        self.peers = Peers(self.config.token)
        self.batches = BatchMeasures()
        """Of this router; written by who runs batches, twice a second."""

    def change_keys(self, keys: Sequence[Key]) -> None:
        """These are the keys from now on. Calls that run go on, and count as before."""
        self._keyring.replace(keys)
        self.state.rate_limiter.replace(keys)

    def open(self, frontend: Frontend, workers: Workers) -> Service:
        """Serve the frontend's model from now on. Clients do not have it at hand: tools that its
        template does not show are refused."""
        frontend = replace(frontend, tools_must_show=True)
        config, demand = self._configs[frontend.name], self._demands[frontend.name]
        service = Service(config, frontend, workers, self.state, demand)
        self._open[frontend.name] = service
        return service

    @property
    def services(self) -> list[Service]:
        """Those of the models that can be asked, in the order of the configuration."""
        return [self._open[name] for name in self._configs if name in self._open]

    @property
    def listed(self) -> list[tuple[str, Service]]:
        """The same by each of their names; a pattern is none."""
        return [
            (name, service)
            for service in self.services
            for name in (service.name, *service.config.aliases)
            if name == service.name or not is_pattern(name)
        ]

    @property
    def ready_workers(self) -> list[str]:
        """Names of the workers of all models that may be given requests."""
        return [worker for service in self.services for worker in service.workers.ready]

    @property
    def serves(self) -> bool:
        """Whether some model can be asked: workers of it are ready, or the next request orders
        one."""
        return any(one.workers.ready or one.demand.on_demand for one in self.services)

    def named(self, name: str | None) -> Service:
        """Raises ModelNotFound, and WorkerUnavailable for a model that is not open yet."""
        asked = name or next(iter(self._configs))
        if (wanted := self._names.model_of(asked)) is None:
            raise ModelNotFound(
                f"no model named {shown(asked)}; there is {', '.join(self._configs)}",
                param="model",
            )
        if (service := self._open.get(wanted)) is None:
            demand = self._demands[wanted]
            demand.came(1, 0)  # there may be no worker since nobody asked
            ready_s = demand.next_ready_s(self.state.clock()) or 0.0
            raise WorkerUnavailable(
                f"no worker of {wanted} is ready yet", retry_after_s=max(2.0, ceil(ready_s))
            )
        return service

    def any(self) -> Service:
        """The first one; another one while that is not open. Raises WorkerUnavailable."""
        return next(iter(self.services), None) or self.named(None)

    def own_measures(self) -> RouterMeasures:
        """What this router measures."""
        models = {service.name: service.measures for service in self.services}
        return RouterMeasures(router=self.peers.address, models=models, batches=self.batches)

    @property
    def held(self) -> dict[str, int]:
        """Of each model, how many calls wait for their turn and requests for a worker."""
        held = {one.name: one.held[0] for one in self.services}
        return dict.fromkeys(self._configs, 0) | held

    def scaling_stats(self) -> dict[str, float]:
        """What the autoscaler is told: by name and model what has come and what waits here."""
        stats: dict[str, float] = {}
        for name, demand in self._demands.items():
            service = self._open.get(name)
            count, tokens = service.held if service is not None else (0, 0)
            stats |= {
                f"arrived/{name}": demand.arrived,
                f"prompt_tokens/{name}": demand.prompt_tokens,
                f"held/{name}": count,
                f"held_tokens/{name}": tokens,
            }
        return stats

    def expect(self, name: str, outlook: Outlook | None, now_s: float) -> None:
        """What the autoscaler says of a model's workers, at this second of the calendar; None: it
        says nothing."""
        self._demands[name].expect(outlook, self.state.clock(), now_s)

    def own_trace(self) -> ProcessTrace:
        """What this router remembers of calls."""
        timelines, name = self.state.timelines, f"router {self.peers.address}".rstrip()
        now = self.state.clock()
        return router_trace(name, timelines.all, now, timelines.most)

    async def measures(self) -> list[RouterMeasures]:
        """What each router measures, this one first."""
        return [self.own_measures(), *await self.peers.measures()]

    async def timeline_of(self, call_id: str, tenant: str | None) -> TimelineSnapshot:
        """What happened to a call of a tenant's, or of anybody's, at this router or another one. A
        tenant is told of the workers' names, and of nothing inside of them. Raises NotFound."""
        try:
            timeline = self.state.timelines.find(call_id, tenant).snapshot
        except NotFound:
            if (found := await self.peers.tell(call_id, tenant)) is None:
                raise
            timeline = found
        return timeline if tenant is None else timeline.for_tenants

    async def kept(self, name: str, tenant: str, after: int) -> NumberedParts:
        """The parts of an answer that is kept, here or by another router, or by one that has died.
        Raises NotFound, and WorkerUnavailable while it cannot be told."""
        try:
            self.state.kept_answers.find(name, tenant)
        except NotFound:
            if (parts := await self.peers.read(name, tenant, after)) is not None:
                return parts
            if not self._take_over(name, tenant):
                raise
        return self.state.kept_answers.read(name, tenant, after)

    async def kept_responses(self, ids: Iterable[str], tenant: str) -> dict[str, KeptResponse]:
        """Those of a tenant's responses that are kept, here or by another router."""
        ids = {one for one in ids if RESPONSE_ID.fullmatch(one)}
        here = {id: self.state.kept_responses.find(id, tenant) for id in ids}
        found = {id: kept for id, kept in here.items() if kept is not None}
        if len(found) < len(ids):
            found |= await self.peers.recall(ids - found.keys(), tenant)
        return found

    async def forget_response(self, id: str, tenant: str) -> bool:
        """Keep a tenant's response no longer; whether it was kept, here or by another router."""
        if self.state.kept_responses.forget(id, tenant):
            return True
        return bool(
            RESPONSE_ID.fullmatch(id) and await self.peers.recall([id], tenant, forget=True)
        )

    def _take_over(self, name: str, tenant: str) -> bool:
        """Whether there was such an answer of a router that has died: then it goes on here."""
        if (log := self.state.answer_logs.take(name, tenant)) is None:
            return False
        ids = {config.model_id: name for name, config in self._configs.items()}
        if (model := ids.get(log.beginning.model_id)) is None:
            log.remove()  # the cluster serves something else now
            return False
        try:
            service = self.named(model)
        except WorkerUnavailable:
            log.leave()
            raise
        return revive(service, log, self.forms[log.beginning.kind])

    async def close(self) -> None:
        """End what is kept, and send what telemetry has left, which may take seconds."""
        await self.state.kept_answers.close()
        self.state.kept_responses.close()
        await self.state.prompts.close()
        await asyncio.to_thread(self.state.telemetry.close)
