"""raylax.v1: what clients are offered by gRPC. `raylax.proto.grpc_api` converts its messages."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from raylax.proto import grpc_api
from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.timeline import explanation_to_proto, timeline_to_proto
from raylax.router.access.caller import caller
from raylax.router.access.held_bytes import held_bytes
from raylax.router.calls.lasting import Form, LastingCall, keep
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.calls.start import StartedCall, finish, read_deadline, start
from raylax.router.grpc.errors import (
    CALL_ID,
    Context,
    errors_as_statuses,
)
from raylax.router.grpc.raylax_v1 import resuming
from raylax.router.grpc.raylax_v1.resuming import Reply


class RaylaxServicer(raylax_pb2_grpc.RaylaxServicer):
    """Answers by the model that a call names, or by the first one."""

    def __init__(self, models: Models) -> None:
        self._models = models
        models.forms[raylax_pb2.ChatRequest.DESCRIPTOR.name] = form_of(grpc_api.chat_reply)
        models.forms[raylax_pb2.GenerateRequest.DESCRIPTOR.name] = form_of(grpc_api.generate_reply)

    async def Chat(  # type: ignore[override]  # its stub knows generators only
        self, request: raylax_pb2.ChatRequest, context: Context
    ) -> None:
        async def make(service: Service, size: int) -> Call:
            body = await service.prepare(size, lambda: grpc_api.chat_request(request))
            return await service.maker(size).chat(body)

        await self._answer(request, make, grpc_api.chat_reply, context)

    async def Generate(  # type: ignore[override]
        self, request: raylax_pb2.GenerateRequest, context: Context
    ) -> None:
        async def make(service: Service, size: int) -> Call:
            body = await service.prepare(size, lambda: grpc_api.generate_request(request))
            return await service.maker(size).completion(body)

        await self._answer(request, make, grpc_api.generate_reply, context)

    async def Embed(
        self, request: raylax_pb2.EmbedRequest, context: Context
    ) -> raylax_pb2.EmbedReply:
        async with errors_as_statuses(context):
            service, size = self._models.named(request.model), request.ByteSize()
            body = await service.prepare(size, lambda: grpc_api.embedding_request(request))
            call = await service.maker(size).embedding(body)
            async with held_bytes(service.state.answers, caller().tenant) as held:
                await finish(service, call, context.time_remaining(), held)
            return grpc_api.embed_reply(service.name, call)

    async def ListModels(
        self, request: raylax_pb2.ListModelsRequest, context: Context
    ) -> raylax_pb2.ListModelsReply:
        async with errors_as_statuses(context):
            self._models.any()
            models = [
                raylax_pb2.Model(id=name, max_model_len=one.frontend.max_sequence_length)
                for name, one in self._models.listed
            ]
            return raylax_pb2.ListModelsReply(models=models)

    async def ResumeStream(  # type: ignore[override]
        self, request: raylax_pb2.ResumeRequest, context: Context
    ) -> None:
        def wrap(reply: Reply) -> raylax_pb2.ResumedReply:
            if isinstance(reply, raylax_pb2.ChatReply):
                return raylax_pb2.ResumedReply(chat=reply)
            return raylax_pb2.ResumedReply(generate=reply)

        async with errors_as_statuses(context):
            numbered = await self._models.kept(
                resuming.name(request.id), caller().tenant, request.after_sequence
            )
            replies = resuming.numbered(numbered)
            allowed_s = self._models.config.limits.request_timeout_s
            await write(context, (wrap(reply) async for reply in replies), replies, allowed_s)

    async def Explain(
        self, request: raylax_pb2.ExplainRequest, context: Context
    ) -> raylax_pb2.ExplainReply:
        async with errors_as_statuses(context):
            told = await self._models.timeline_of(request.request_id, caller().may_see_of)
            return timeline_to_proto(told)

    async def _answer(
        self,
        request: raylax_pb2.ChatRequest | raylax_pb2.GenerateRequest,
        make: Callable[[Service, int], Awaitable[Call]],
        reply_of: Callable[[str, str, TextEvent], Reply],
        context: Context,
    ) -> None:
        """Makes and runs a call, and writes its replies. The client's deadline is the call's."""
        async with errors_as_statuses(context):
            service = self._models.named(request.model)
            ttl_s = resuming.ttl_s(request)
            remaining_s = grpc_api.timeout_s(request, context.time_remaining())
            call = await make(service, request.ByteSize())
            form = form_of(reply_of, request.explain)
            if ttl_s is None and call.picks:
                running = StartedCall(
                    best_events(service, call, remaining_s, request.session),
                    service.allowed_s(remaining_s),
                )
                replies, allowed_s = form(service, call, running), running.allowed_s
            elif ttl_s is None:
                running = start(service, call, remaining_s, request.session)
                replies, allowed_s = form(service, call, running), running.allowed_s
            else:
                name, session = resuming.name(call.id), request.session
                kind = request.DESCRIPTOR.name
                lasting = LastingCall(name, kind, call, call, ttl_s, session)
                allowed_s = keep(service, lasting, form, remaining_s)
                await context.send_initial_metadata(((CALL_ID, call.id),))
                replies = resuming.numbered(service.state.kept_answers.read(name, caller().tenant))
            await write(context, replies, replies, allowed_s)


def form_of(reply_of: Callable[[str, str, TextEvent], Reply], explain: bool = False) -> Form:
    """How the replies of a method are made."""

    def replies(service: Service, call: Call, running: StartedCall) -> AsyncGenerator[Reply]:
        return replies_of(service, call, running, reply_of, explain)

    return replies


async def replies_of(
    service: Service,
    call: Call,
    running: StartedCall,
    reply_of: Callable[[str, str, TextEvent], Reply],
    explain: bool,
) -> AsyncGenerator[Reply]:
    """The call's events as replies. Leaving the iteration early cancels what still runs."""
    try:
        async for events in running.events:
            for event in events:
                reply = reply_of(call.id, service.name, event)
                if explain:
                    (first, *_) = service.state.timelines.find(call.id).explanations
                    reply.explanation.CopyFrom(explanation_to_proto(first))
                    explain = False
                if event is events[-1] and call.done and call.error is None:
                    reply.usage.CopyFrom(grpc_api.usage_message(call.usage))
                    reply.prompt_logprobs.extend(grpc_api.prompt_logprobs(call))
                yield reply
    finally:
        await running.events.aclose()


async def best_events(
    service: Service, call: Call, remaining_s: float | None, session: str
) -> AsyncGenerator[list[TextEvent]]:
    """The answers that are told, each whole: which ones, is known when all have ended."""
    async with held_bytes(service.state.answers, caller().tenant) as held:
        await finish(service, call, remaining_s, held, session)
        yield grpc_api.best_events(call)


async def write(
    context: Context,
    messages: AsyncIterator[Message],
    source: AsyncGenerator[Any],
    allowed_s: float,
) -> None:
    """Writes messages as they come, within the time; `source` is closed in any case.

    It writes rather than yields: a cancellation then arrives here, and not in an iteration that
    nobody goes on with.
    """
    try:
        async with read_deadline(allowed_s):
            async for message in messages:
                await context.write(message)
    finally:
        await source.aclose()
