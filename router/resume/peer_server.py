"""Answers the other routers of the cluster: what this one keeps, measures and remembers."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from raylax.proto.addresses import address_of
from raylax.proto.errors import NotFound
from raylax.proto.event_trace import ProcessTrace
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.pb import engine_pb2_grpc
from raylax.proto.wire.cluster_tls import crosses_a_wire, identity_of
from raylax.proto.wire.grpc_limits import server_options
from raylax.proto.wire.peer_proof import Metadata, answer_metadata, is_peers_question
from raylax.router.observe.measures import RouterMeasures
from raylax.router.observe.timeline import Timelines, as_json
from raylax.router.resume.kept_answers import KeptAnswers
from raylax.router.resume.kept_responses import KeptResponses
from raylax.router.resume.peers import EVENT, KEPT, Question

CONNECTIONS, CALLS = 1024, 1024
"""Of other routers: each question has a connection of its own."""
PART_BYTES = 1 << 20
Context = grpc.aio.ServicerContext[Any, Any]


class PeerServicer(engine_pb2_grpc.PeerServicer):
    """Tells other routers what this one keeps."""

    def __init__(
        self,
        token: str,
        timelines: Timelines,
        kept_answers: KeptAnswers,
        measures: Callable[[], RouterMeasures],
        trace: Callable[[], ProcessTrace],
        numbers: Callable[[], bytes],
        kept_responses: KeptResponses,
    ) -> None:
        """`measures`: what this router measures; `trace`: what it remembers of calls; `numbers`:
        what a page shows of it, in JSON."""
        self.token, self._timelines, self._kept_answers = token, timelines, kept_answers
        self._measures, self._trace, self._numbers = measures, trace, numbers
        self._kept_responses = kept_responses
        self.address = ""
        """Where others ask this one: a question is for one address."""

    async def Tell(self, request: pb.TellRequest, context: Context) -> pb.Story:
        await self._authorise(context, request)
        try:
            tenant = request.tenant if request.HasField("tenant") else None
            timeline = self._timelines.find(request.call_id, tenant)
        except NotFound as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, error.message)
        await context.send_initial_metadata(self._shown(request))
        return pb.Story(json=json.dumps(as_json(timeline.snapshot)))

    async def Read(self, request: pb.ReadRequest, context: Context) -> None:  # type: ignore[override]
        await self._authorise(context, request)
        try:
            self._kept_answers.find(request.name, request.tenant)
        except NotFound as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, error.message)
        await context.send_initial_metadata((KEPT, *self._shown(request)))
        numbered = self._kept_answers.read(request.name, request.tenant, request.after)
        try:
            async for number, part in numbered:
                await context.write(part_message(number, part))
        finally:
            await numbered.aclose()

    async def Measure(self, request: pb.MeasureRequest, context: Context) -> pb.Measures:
        await self._authorise(context, request)
        await context.send_initial_metadata(self._shown(request))
        return pb.Measures(json=self._measures().model_dump_json().encode())

    async def Trace(self, request: pb.TraceRequest, context: Context) -> None:  # type: ignore[override]
        await self._authorise(context, request)
        await context.send_initial_metadata(self._shown(request))
        await context.write(pb.Traced(now_s=time.monotonic()))
        if not request.clock_only:
            trace = await asyncio.to_thread(lambda: self._trace().as_bytes())
            for first in range(0, len(trace), PART_BYTES):
                await context.write(pb.Traced(content=trace[first : first + PART_BYTES]))

    async def Show(self, request: pb.ShowRequest, context: Context) -> pb.Shown:
        await self._authorise(context, request)
        await context.send_initial_metadata(self._shown(request))
        return pb.Shown(json=self._numbers())

    async def Recall(self, request: pb.RecallRequest, context: Context) -> pb.Recalled:
        await self._authorise(context, request)
        await context.send_initial_metadata(self._shown(request))
        told = pb.Recalled()
        for id in request.ids:
            if (kept := self._kept_responses.find(id, request.tenant)) is not None:
                told.found.add(id=id, input=kept.input, response=kept.response)
                if request.forget:
                    self._kept_responses.forget(id, request.tenant)
        return told

    def _shown(self, question: Question) -> Metadata:
        return answer_metadata(self.token, self.address, question)

    async def _authorise(self, context: Context, question: Question) -> None:
        given = context.invocation_metadata()
        if not is_peers_question(given, self.token, self.address, question):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the cluster token is missing")


def part_message(number: int, part: Any) -> pb.Part:
    if isinstance(part, bytes):
        return pb.Part(number=number, kind=EVENT, content=part)
    return pb.Part(number=number, kind=part.DESCRIPTOR.name, content=part.SerializeToString())


def shown_to_peers(token: str) -> grpc.ServerCredentials:
    """What other routers are shown, who must show a certificate of the cluster's, too."""
    ours = identity_of(token)
    return grpc.ssl_server_credentials([(ours.key, ours.certificate)], ours.authority, True)


async def serve_peers(servicer: PeerServicer, host: str) -> tuple[grpc.aio.Server, str]:
    """Answers other routers on a free port; returns the server and its address."""
    server = grpc.aio.server(options=server_options(CONNECTIONS, CALLS))
    engine_pb2_grpc.add_PeerServicer_to_server(servicer, server)
    if crosses_a_wire(host):
        port = server.add_secure_port(address_of(host, 0), shown_to_peers(servicer.token))
    else:
        port = server.add_insecure_port(address_of(host, 0))
    servicer.address = address_of(host, port)
    await server.start()
    return server, servicer.address
