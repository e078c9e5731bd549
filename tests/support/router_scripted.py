"""A worker that computes nothing: it says what a test tells it to, as fast as it is read. It runs
on a thread and an event loop of its own, so that what the router's loop does is the router's."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tokenizers import Tokenizer

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Finish, Load, Request, TokenLogprobs
from raylax.proto.wire import messages as wire
from raylax.proto.wire.frames import Connection
from raylax.worker.serving.listener import HelloListener

STEPS_TOGETHER = 4
LOAD = Load(pages_total=1 << 20, pages_free=1 << 20, step_tokens=8192, prefill_room=8192)
EMBEDDING = (0.25,) * 1024


@dataclass
class Running:
    """A request that is answered, and how far."""

    name: str
    tokens: Sequence[int]
    coalesce: int
    request: Request
    at: int = 0

    def next_delta(self) -> Delta:
        if self.request.embed:
            return Delta(self.name, finish=Finish.STOP, embedding=EMBEDDING)
        return self._next_tokens()

    def _next_tokens(self) -> Delta:
        begun, self.at = self.at, min(len(self.tokens), self.at + (self.coalesce if self.at else 1))
        tokens = tuple(self.tokens[begun : self.at])
        top = self.request.sampling.top_logprobs
        likely = tuple((token, -1.5 - token / 64) for token in range(32, 32 + (top or 0)))
        entries = () if top is None else tuple(TokenLogprobs(-0.125, likely) for _ in tokens)
        done = self.at == len(self.tokens)
        return Delta(self.name, tokens, entries, Finish.LENGTH if done else None)


class ScriptedWorker:
    """Answers each request with the tokens that it says, in steps that have a delta for each."""

    def __init__(self, worker_id: str, token: str, longest: int, tokenizer: Tokenizer) -> None:
        self.worker_id, self.address = worker_id, ""
        self.says: list[int] = []
        self._token, self._longest, self._tokenizer = token, longest, tokenizer
        self._running: dict[str, Running] = {}
        self._received = self._steps = 0
        self._stepping: set[asyncio.Task[None]] = set()

    def say(self, texts: Iterable[tuple[str, int]]) -> None:
        """From now on: tokens, or the tokens of texts, each so many times."""
        known, encode = self._tokenizer.token_to_id, self._tokenizer.encode
        self.says = []
        for text, times in texts:
            id = known(text)
            self.says += ([id] if id is not None else encode(text).ids) * times

    async def serve(self, opened: Callable[[], None], ended: asyncio.Event) -> None:
        listener = HelloListener(self._token, self._on_hello)
        self.address = await listener.open("127.0.0.1")
        opened()
        await ended.wait()
        listener.close("the test is over")
        for stepping in self._stepping:
            stepping.cancel()
        await asyncio.gather(*self._stepping, return_exceptions=True)

    def _on_hello(self, connection: Connection, hello: pb.Hello) -> None:
        if hello.WhichOneof("wish") == "describe":
            connection.send(self._description())
            connection.end()
            return
        connection.on_message = self._carry_out
        stepping = asyncio.get_running_loop().create_task(self._step(connection))
        self._stepping.add(stepping)
        stepping.add_done_callback(self._stepping.discard)
        stepping.add_done_callback(lambda _: connection.abort())

    def _description(self) -> bytes:
        return pb.Description(
            worker_id=self.worker_id,
            vocab_size=self._tokenizer.get_vocab_size(),
            max_sequence_length=self._longest,
            engine_config_json="{}",
        ).SerializeToString()

    def _carry_out(self, message: bytes) -> None:
        command = pb.Command.FromString(message)
        if command.WhichOneof("command") == "cancel":
            self._running.pop(command.cancel.request_id, None)
        elif command.WhichOneof("command") == "submit":
            submit = command.submit
            request = wire.submit_from_proto(submit)
            running = Running(request.id, self.says, max(1, submit.coalesce), request)
            running.at = len(request.history)
            self._running[request.id] = running
            self._received = submit.dispatch

    async def _step(self, connection: Connection) -> None:
        while not connection.closed:
            deltas = [one.next_delta() for one in list(self._running.values())]
            for delta in deltas:
                if delta.finish is not None:
                    del self._running[delta.request_id]
            report = pb.StepReport(
                deltas=map(wire.delta_to_proto, deltas),
                load=wire.load_to_proto(LOAD),
                received=self._received,
                routers=1,
            )
            connection.send(report.SerializeToString())
            await connection.writable.wait()
            self._steps += 1
            if not deltas or self._steps % STEPS_TOGETHER == 0:
                await asyncio.sleep(0.001)


@contextmanager
def scripted_worker(token: str, longest: int, tokenizer: Tokenizer) -> Iterator[ScriptedWorker]:
    """A worker on a free port, until the block ends."""
    worker, opened = ScriptedWorker("w0", token, longest, tokenizer), threading.Event()
    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(worker.serve(opened.set, ended),)
    )
    thread.start()
    assert opened.wait(60)
    try:
        yield worker
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
