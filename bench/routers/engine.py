"""An engine that makes tokens of nothing, behind the listener of a real worker.

    python -m routers.engine NAME STEP_MS TOKEN_ID... < secret

Says its address, and ends with its input. Each running sequence gets a token at each step; with a
step time of 0 the next step begins as soon as the connection has taken the report of the last one.
Since it is not what is measured, messages are put together from bytes that were written once.
"""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field

import uvloop

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.frames import Connection
from raylax.worker.serving.listener import HelloListener

HEARTBEAT_S, FRESH_S = 0.1, 0.02
"""As a real worker: after so long without a report there is one."""
LONGEST = 32768
PAGES = 1 << 16
PACE = pb.Pace(a=2e-3, b=2e-5, c=2e-5, d=1e-9)
"""Plausible for a small model: a policy that predicts is to have something to predict from."""
DELTAS, TOKEN_IDS = b"\x0a", b"\x12"
CONTINUED, TOKENS = b"\x42", b"\x4a"
"""Tags of StepReport.deltas, Delta.token_ids, StepReport.continued and .tokens in engine.proto."""


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
        self.coalesce = submit.coalesce
        self._held = b""  # tokens that wait for the end: no answer here has as many as it may
        self._first = True
        self.dispatch = varint(submit.dispatch)
        self._named = pb.Delta(request_id=self.name, fault="engine").SerializeToString()
        self._tokens, self.waits = tokens, True

    def began(self) -> bytes:
        """A real engine says so when a step takes it up."""
        self.waits = False
        return sized(DELTAS, self._named + pb.Delta(began=True).SerializeToString())

    def token(self) -> bytes:
        """Of a step; empty while it may wait for the end."""
        self.left -= 1
        token = self._tokens[self.left % len(self._tokens)]
        if self.coalesce == 1 or self._first:
            self._first = False
            return token
        self._held += token
        return b""

    def last(self) -> bytes:
        """The token of a step that ends it, after those that were held."""
        last = self.token()
        tokens = sized(TOKEN_IDS, self._held or last)
        return sized(DELTAS, self._named + tokens + pb.Delta(finish="length").SerializeToString())


@dataclass(eq=False)
class Router:
    """One that is attached: its sequences, and what it has dispatched."""

    connection: Connection
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    sequences: dict[str, Sequence] = field(default_factory=dict)
    received: int = 0
    reported_at: float = 0.0
    due: float = 0.0
    """When its step ends, on the loop's clock: what comes between steps does not add up."""


class Engine:
    """Makes steps for each router by itself: none waits for another's."""

    def __init__(self, name: str, step_s: float, token_ids: list[int], secret: str) -> None:
        self._name, self._step_s = name, step_s
        self.listener = HelloListener(secret, self._on_hello)
        self._tokens = [varint(token) for token in token_ids]
        self._routers: set[Router] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._step = self._taken = self._generated = 0

    def _on_hello(self, connection: Connection, hello: pb.Hello) -> None:
        if hello.HasField("describe"):
            connection.send(self._description().SerializeToString())
            connection.end()
            return
        router = Router(connection)
        connection.on_message = lambda message: self._hear(router, message)
        task = asyncio.ensure_future(self._run(router))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _description(self) -> pb.Description:
        return pb.Description(
            worker_id=self._name,
            engine_config_json=json.dumps({}),
            vocab_size=PAGES,
            max_sequence_length=LONGEST,
        )

    async def _run(self, router: Router) -> None:
        """Until its connection has ended."""
        self._routers.add(router)
        connection = router.connection
        snapshot = pb.StepReport(pages=pb.PageEvents(snapshot=True)).SerializeToString()
        connection.send(snapshot + self._stand(router))
        while not connection.closed:
            await self._run_step(router)
        self._routers.discard(router)

    async def _run_step(self, router: Router) -> None:
        """Of one router's sequences; without any, say now and then how the engine stands."""
        loop, connection = asyncio.get_running_loop(), router.connection
        if not router.sequences:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await router.woken.wait()
            router.due = loop.time()
        router.woken.clear()
        batch = list(router.sequences.values())
        if begun := b"".join([one.began() for one in batch if one.waits]):
            connection.send(begun + self._stand(router))
        router.due += self._step_s
        await asyncio.sleep(max(0.0, router.due - loop.time()) if batch else 0)
        self._step += bool(batch)
        self._generated += len(batch)
        there = [one for one in batch if one.name in router.sequences]
        ending, going_on = [one for one in there if one.left == 1], [o for o in there if o.left > 1]
        report = b"".join([one.last() for one in ending])
        said = [(one.dispatch, token) for one in going_on if (token := one.token())]
        if said:
            dispatches, tokens = zip(*said, strict=True)
            report += sized(CONTINUED, b"".join(dispatches)) + sized(TOKENS, b"".join(tokens))
        for one in ending:
            del router.sequences[one.name]
        if report or loop.time() - router.reported_at >= FRESH_S:
            router.reported_at = loop.time()
            connection.send(report + self._stand(router))
        await connection.writable.wait()

    def _stand(self, router: Router) -> bytes:
        """The report without its deltas."""
        running = sum(len(one.sequences) for one in self._routers)
        load = pb.Load(
            running=running, decoding=running, context_tokens=64 * running, step_tokens=2048,
            prefill_room=2048 - running,
            pages_total=PAGES, pages_free=PAGES - 8 * running, step=self._step,
            generated_tokens=self._generated, taken=self._taken, pace=PACE,
        )  # fmt: skip
        report = pb.StepReport(load=load, received=router.received, routers=len(self._routers))
        return report.SerializeToString()

    def _hear(self, router: Router, message: bytes) -> None:
        command = pb.Command.FromString(message)
        match command.WhichOneof("command"):
            case "submit":
                sequence = Sequence(command.submit, self._tokens)
                router.sequences[sequence.name] = sequence
                router.received = command.submit.dispatch
                self._taken += 1
                router.woken.set()
            case "cancel":
                router.sequences.pop(command.cancel.request_id, None)


async def main(name: str, step_ms: str, *token_ids: str) -> None:
    secret = sys.stdin.readline().strip()
    engine = Engine(name, float(step_ms) / 1e3, [int(one) for one in token_ids], secret)
    print(await engine.listener.open("127.0.0.1"), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    engine.listener.close("the bench is over")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
