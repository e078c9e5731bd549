"""vllm.grpc.engine.VllmEngine over a Service: other gateways can drive raylax as one engine.

Token ids in and out; the gateway makes text of them. Its fields and numbers are those of the
protocol, see proto/pb/vllm_engine.proto.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import NoReturn

import grpc

from raylax.proto.calls.vector import vectors_of
from raylax.proto.pb import common_pb2, vllm_engine_pb2_grpc
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.router.access.caller import caller
from raylax.router.access.held_bytes import held_bytes
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.calls.start import finish, read_deadline, start
from raylax.router.grpc.errors import Context, errors_as_statuses
from raylax.router.grpc.vllm_engine import about, requests
from raylax.router.grpc.vllm_engine.abort import Aborted, RunningRequests
from raylax.router.grpc.vllm_engine.fields import check
from raylax.router.grpc.vllm_engine.flush import flush
from raylax.router.grpc.vllm_engine.kv_events import KvEventFeed
from raylax.router.grpc.vllm_engine.replies import Replies
from raylax.router.grpc.vllm_engine.tokenizer_files import chunks

NO_PROFILER = (
    "workers have no profiler to start: OTEL_EXPORTER_OTLP_ENDPOINT makes spans of calls, and the "
    "debug function raylax.debug.seconds_by_operator says where a step's time went"
)


class EngineProtocolServicer(vllm_engine_pb2_grpc.VllmEngineServicer):
    """Speaks for the first one of several models: the protocol knows one engine."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._running = RunningRequests()
        self._feed: KvEventFeed | None = None
        self._begun = time.monotonic()
        self._received = about.LastReceived(time.time())

    def _service(self) -> Service:
        return self._models.named(None)

    async def Generate(  # type: ignore[override]  # its stub knows generators only
        self, request: pb.GenerateRequest, context: Context
    ) -> None:
        self._received.note(caller().tenant, time.time())
        async with errors_as_statuses(context):
            service, size = self._service(), request.ByteSize()
            body = await service.prepare(size, lambda: requests.generate_request(request))
            call, choices = await service.maker(size).tokens(body)
            replies = Replies(len(call.requests[0].prompt), choices, request.stream)
            with self._running.named(caller().tenant, request.request_id) as abort:
                running = start(service, call, context.time_remaining())
                try:
                    async with read_deadline(running.allowed_s):
                        while (events := await abort.next(running.events)) is not None:
                            for index in dict.fromkeys(event.choice for event in events):
                                for reply in replies.of(index):
                                    await context.write(reply)
                except Aborted:
                    for reply in replies.aborted():
                        await context.write(reply)
                finally:
                    await running.events.aclose()  # cancels what still runs

    async def Abort(self, request: pb.AbortRequest, context: Context) -> pb.AbortResponse:
        for name in request.request_ids:
            self._running.abort(caller().tenant, name)
        return pb.AbortResponse()

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        self._received.note(caller().tenant, time.time())
        async with errors_as_statuses(context):
            service, size = self._service(), request.ByteSize()
            body = await service.prepare(size, lambda: requests.embedding_request(request))
            call = await service.maker(size).embedding(body)
            async with held_bytes(service.state.answers, caller().tenant) as held:
                await finish(service, call, context.time_remaining(), held)
            (vector,) = vectors_of(call)
            return pb.EmbedResponse(
                embedding=vector,
                prompt_tokens=call.usage.prompt_tokens,
                embedding_dim=len(vector),
            )

    async def HealthCheck(
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        healthy = bool(self._models.ready_workers)
        return pb.HealthCheckResponse(
            healthy=healthy, message="" if healthy else "no worker is ready"
        )

    async def GetModelInfo(
        self, request: pb.GetModelInfoRequest, context: Context
    ) -> pb.GetModelInfoResponse:
        async with errors_as_statuses(context):
            return about.model_info(self._service().frontend, caller().admin)

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        async with errors_as_statuses(context):
            journal, of = self._service().journal, caller().may_see_of
            return pb.GetServerInfoResponse(
                active_requests=len(journal) if of is None else journal.count(of),
                last_receive_timestamp=self._received.of(of),
                uptime_seconds=time.monotonic() - self._begun,
                server_type="vllm-grpc",
                data_parallel_size=1,
            )

    async def GetLoads(self, request: pb.GetLoadsRequest, context: Context) -> pb.GetLoadsResponse:
        async with errors_as_statuses(context):
            caller().require_admin("GetLoads")
            check(request)
            return about.loads(self._service(), datetime.now(UTC))

    async def GetTokenizer(  # type: ignore[override]
        self, request: common_pb2.GetTokenizerRequest, context: Context
    ) -> None:
        async with errors_as_statuses(context):
            files = self._service().frontend.files
            for chunk in chunks(await asyncio.to_thread(files.archive)):
                await context.write(chunk)

    async def FlushCache(
        self, request: common_pb2.FlushCacheRequest, context: Context
    ) -> common_pb2.FlushCacheResponse:
        async with errors_as_statuses(context):
            caller().require_admin("FlushCache")
            flushed = await flush(self._service(), request.timeout_s)
            self._models.state.acts.add(caller().tenant, "FlushCache")
            return flushed

    async def SubscribeKvEvents(  # type: ignore[override]
        self, request: common_pb2.SubscribeKvEventsRequest, context: Context
    ) -> None:
        async with errors_as_statuses(context):
            caller().require_admin("SubscribeKvEvents")
            with self._watched().subscribed(
                caller().tenant, request.start_sequence_number
            ) as subscriber:
                async for batch in subscriber.batches():
                    await context.write(batch)

    def _watched(self) -> KvEventFeed:
        """The feed, which is there from the first subscription on: it costs each request some
        microseconds a page."""
        workers = self._service().workers
        if self._feed is None:
            self._feed = workers.watcher = KvEventFeed(
                workers.prefixes, time.time, self._models.state.share_of
            )
        return self._feed

    async def StartProfile(
        self, request: common_pb2.StartProfileRequest, context: Context
    ) -> NoReturn:
        await unimplemented(context, NO_PROFILER)

    async def StopProfile(
        self, request: common_pb2.StopProfileRequest, context: Context
    ) -> NoReturn:
        await unimplemented(context, NO_PROFILER)


async def unimplemented(context: Context, why: str) -> NoReturn:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, why)
