"""The answer to one line of a batch: as its endpoint would give it, and asked again while the
cluster has no room for it."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

from pydantic_core import to_json

from raylax.proto.errors import (
    DeadlineExceeded,
    EngineFailure,
    InvalidRequest,
    Overloaded,
    RateLimited,
    RaylaxError,
    WorkerUnavailable,
)
from raylax.proto.openai.body import parse_body
from raylax.proto.openai.shared import CommonFields, SamplingFields
from raylax.router.access.caller import CALLER, Caller
from raylax.router.access.held_bytes import held_bytes
from raylax.router.batches.gaps import ModelGaps
from raylax.router.calls.failure import failure_of
from raylax.router.calls.models import Models
from raylax.router.calls.start import finish
from raylax.router.prompts.writers import APIS, Api

NO_ROOM = Overloaded, RateLimited, WorkerUnavailable
"""What has to wait: none of the line's own fault."""
MAY_BE_CHANCE = DeadlineExceeded, EngineFailure
MOST_CHANCES = 3
LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What a line has come to."""

    status: int
    body: bytes


class LineAnswers:
    """Answers lines of all batches, one router's. Used on one event loop."""

    def __init__(self, models: Models) -> None:
        most = models.config.limits.batch_lines
        self._models = models
        self._gaps = defaultdict[str, ModelGaps](partial(ModelGaps, most))

    async def answer(
        self, endpoint: str, body: bytes, caller: Caller, begun: asyncio.Event
    ) -> LineAnswer:
        """`begun` is set when the line's turn has come, or there was none for it to wait for. It
        runs in a task of its own, which is the caller's from now on."""
        CALLER.set(caller)
        chances = 0
        try:
            while True:
                try:
                    return LineAnswer(200, await self._once(APIS[endpoint], body, begun))
                except NO_ROOM as error:
                    wait_s = error.retry_after_s or 1.0
                except MAY_BE_CHANCE as error:
                    wait_s, chances = 1.0, chances + 1
                    if chances == MOST_CHANCES:
                        return error_answer(error)
                await asyncio.sleep(min(wait_s, LONGEST_WAIT_S))
        except Exception as error:
            return error_answer(failure_of(error, f"a line of a batch, {caller.request_id}"))
        finally:
            begun.set()

    async def _once(self, api: Api, raw: bytes, begun: asyncio.Event) -> bytes:
        """As `raylax.router.http.handler` does it. Raises RaylaxError."""
        models, size = self._models, len(raw)
        state, caller = models.state, CALLER.get()
        parse = partial(parse_body, api.kind, raw, models.config.strict_fields)
        body = await models.any().prepare(size, parse)
        check_for_batch(body)
        service = models.named(body.model)
        gaps = self._gaps[service.name]
        writer = await api.write(service.maker(size), body)
        async with gaps.one(service), held_bytes(state.answers, caller.tenant) as held:
            begun.set()
            state.rate_limiter.enter(caller.tenant, state.clock())
            await finish(service, writer.call, body.timeout, held)
            return await state.parse_pool.run(writer.call.size, writer.whole)


def check_for_batch(body: object) -> None:
    """Raises InvalidRequest for what only a client that waits can ask for."""
    if isinstance(body, CommonFields) and body.stream:
        raise InvalidRequest("stream: must be false: a line is answered whole", param="stream")
    if isinstance(body, SamplingFields) and body.debug_config is not None:
        raise InvalidRequest("debug_config: is not for lines of a batch", param="debug_config")


def error_answer(error: RaylaxError) -> LineAnswer:
    return LineAnswer(error.http_status, to_json(error.body()))
