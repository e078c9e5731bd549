"""A request's `debug_config`: who may have one, and the answer to who wants no text."""

import time
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp

from raylax.proto.answers.openai_chunks import ended, engine_chunk
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.shared import SamplingFields
from raylax.proto.vocabulary import Inspected
from raylax.router.access.caller import caller
from raylax.router.calls.service import Service
from raylax.router.http.event_stream import HEADERS, server_sent
from raylax.router.observe.engine_numbers import together


@dataclass(frozen=True, slots=True)
class DebugConfigs:
    """`enabled`: whether the cluster takes any."""

    enabled: bool

    async def instead(self, body: SamplingFields, service: Service) -> ASGIApp | None:
        """The answer to who asks what the engines have done: a stream that is nothing but a usage.
        Raises InvalidRequest, and Forbidden for what is for admins: other tenants' numbers, and
        pages that stay."""
        self._check(body)
        if not body.asks_for_metrics:
            return None
        numbers = together(await service.workers.inspect(Inspected.METRICS))
        chunk = engine_chunk(body, service.name, int(time.time()), numbers)
        return Response(server_sent(ended(chunk)), headers=HEADERS)

    def _check(self, body: SamplingFields) -> None:
        if body.debug_config is None:
            return
        if not self.enabled:
            raise InvalidRequest(
                "debug_config: only where the cluster is served with --enable-debug; ignore_eos is "
                "a field of the request, too",
                param="debug_config",
            )
        if body.asks_for_metrics:
            caller().require_admin("debug_config.special_request")
        if body.pins_prompt:
            caller().require_admin("debug_config.pinned_system_prompt")
