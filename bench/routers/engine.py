"""An engine that makes tokens of nothing, behind the gRPC service of a real worker.

    python -m routers.engine NAME STEP_MS TOKEN_ID... < secret

Says its address, and ends with its input. Each running sequence gets a token at each step; with a
step time of 0 the next step begins as soon as gRPC has taken the report of the last one. Since it
is not what is measured, messages are put together from bytes that were written once.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import uvloop

from raylax.proto import engine_pb2 as pb

SERVICE = "raylax.engine.v1.Engine"
HEARTBEAT_S = 0.1
LONGEST = 32768
PAGES = 1 << 16
PACE = pb.Pace(a=2e-3, b=2e-5, c=2e-5, d=1e-9)
"""Plausible for a small model: a policy that predicts is to have something to predict from."""
DELTAS, TOKENS = b"\x0a", b"\x12"
"""Tags of StepReport.deltas and Delta.token_ids in engine.proto."""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def sized(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


class Sequence:
    """One request: its deltas, ready to be put into a report."""

    def __init__(self, submit: pb.Submit, tokens: list[bytes]) -> None:
        self.name, self.left = submit.request_id, submit.max_tokens
        self._named = pb.Delta(request_id=self.name, fault="engine").SerializeToString()
        self._tokens, self.waits = tokens, True

    def began(self) -> bytes:
        """A real engine says so when a step takes it up."""
        self.waits = False
        return sized(DELTAS, self._named + pb.Delta(began=True).SerializeToString())

    def next(self) -> bytes:
        """Its token of a step; the last one ends it."""
        self.left -= 1
        end = b"" if self.left else pb.Delta(finish="length").SerializeToString()
        return sized(DELTAS, self._named + self._tokens[self.left % len(self._tokens)] + end)


@dataclass(eq=False)
class Router:
    """One that is attached: its sequences, and what it has dispatched."""

    sequences: dict[str, Sequence] = field(default_factory=dict)
    received: int = 0
    due: float = 0.0
    """When its step ends, on the loop's clock: what comes between steps does not add up."""


class Engine:
    """Makes steps for each router by itself: none waits for another's."""

    def __init__(self, name: str, step_s: float, token_ids: list[int], secret: str) -> None:
        self._name, self._step_s, self._secret = name, step_s, f"Bearer {secret}"
        self._tokens = [sized(TOKENS, varint(token)) for token in token_ids]
        self._routers: set[Router] = set()
        self._step = self._taken = self._generated = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """Reports leave as the bytes that they are."""
        attach: Any = grpc.stream_stream_rpc_method_handler(self.attach, pb.Command.FromString)
        describe: Any = grpc.unary_unary_rpc_method_handler(
            self.describe, pb.DescribeRequest.FromString, pb.Description.SerializeToString
        )
        methods = {"Attach": attach, "Describe": describe}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def describe(self, request: pb.DescribeRequest, context: Any) -> pb.Description:
        return pb.Description(
            worker_id=self._name,
            engine_config_json=json.dumps({}),
            vocab_size=PAGES,
            max_sequence_length=LONGEST,
        )

    async def attach(self, commands: AsyncIterator[pb.Command], context: Any) -> None:
        given = dict(context.invocation_metadata()).get("authorization")
        if given != self._secret:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the cluster token is missing")
        router, woken = Router(), asyncio.Event()
        self._routers.add(router)
        reading = asyncio.ensure_future(self._read(router, commands, woken))
        try:
            await context.write(
                pb.StepReport(pages=pb.PageEvents(snapshot=True)).SerializeToString()
                + self._stand(router)
            )
            while not reading.done():
                await self._run_step(router, context, woken)
        finally:
            self._routers.discard(router)
            reading.cancel()

    async def _run_step(self, router: Router, context: Any, woken: asyncio.Event) -> None:
        """Of one router's sequences; without any, say now and then how the engine stands."""
        loop = asyncio.get_running_loop()
        if not router.sequences:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await woken.wait()
            router.due = loop.time()
        woken.clear()
        batch = list(router.sequences.values())
        if begun := b"".join([one.began() for one in batch if one.waits]):
            await context.write(begun + self._stand(router))
        router.due += self._step_s
        await asyncio.sleep(max(0.0, router.due - loop.time()) if batch else 0)
        self._step += bool(batch)
        self._generated += len(batch)
        deltas = b"".join([one.next() for one in batch if one.name in router.sequences])
        for one in batch:
            if not one.left:
                router.sequences.pop(one.name, None)
        await context.write(deltas + self._stand(router))

    def _stand(self, router: Router) -> bytes:
        """The report without its deltas."""
        running = sum(len(one.sequences) for one in self._routers)
        load = pb.Load(
            running=running, decoding=running, context_tokens=64 * running, step_tokens=2048,
            pages_total=PAGES, pages_free=PAGES - 8 * running, step=self._step,
            generated_tokens=self._generated, taken=self._taken, pace=PACE,
        )  # fmt: skip
        report = pb.StepReport(load=load, received=router.received, routers=len(self._routers))
        return report.SerializeToString()

    async def _read(
        self, router: Router, commands: AsyncIterator[pb.Command], woken: asyncio.Event
    ) -> None:
        async for command in commands:
            match command.WhichOneof("command"):
                case "submit":
                    sequence = Sequence(command.submit, self._tokens)
                    router.sequences[sequence.name] = sequence
                    router.received = command.submit.dispatch
                    self._taken += 1
                    woken.set()
                case "cancel":
                    router.sequences.pop(command.cancel.request_id, None)


async def serve_engine(engine: Engine) -> tuple[grpc.aio.Server, str]:
    """On a free port; its address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((engine.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


async def main(name: str, step_ms: str, *token_ids: str) -> None:
    secret = sys.stdin.readline().strip()
    engine = Engine(name, float(step_ms) / 1e3, [int(one) for one in token_ids], secret)
    server, address = await serve_engine(engine)
    print(address, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
