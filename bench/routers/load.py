"""The clients: raw HTTP/1.1 over connections that are kept, each asking without pause.

As light as Python allows: an answer's bytes are collected, and looked at when it has ended.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

PATIENCE_S = 120.0
LAST_CHUNK = b"\r\n0\r\n\r\n"
EVENT = b"data: "
MADE = re.compile(rb'"completion_tokens": ?(\d+)')


@dataclass(frozen=True)
class Ask:
    """What every client asks, over and over."""

    model: str
    tokens: int
    prompt: str
    stream: bool

    def to(self, host: str) -> bytes:
        asked = {
            "model": self.model, "max_tokens": self.tokens, "stream": self.stream,
            "ignore_eos": True, "messages": [{"role": "user", "content": self.prompt}],
        }  # fmt: skip
        body = json.dumps(asked).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer none\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass
class Tally:
    """Of all clients: seconds to the end and to the first token of each answer, and what failed."""

    took_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection, until the time is over; then its last answer is still read."""

    def __init__(self, ask: Ask, request: bytes, until: float, tally: Tally) -> None:
        self._ask, self._request, self._until, self._tally = ask, request, until, tally
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._got = bytearray()
        self._begun, self._first_s = 0.0, 0.0
        self._body = self._ends = 0
        """Where the body begins; where it ends, if that is known."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self._send()

    def _send(self) -> None:
        self._got.clear()
        self._body = self._ends = 0
        self._first_s = 0.0
        self._begun = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._body and not self._read_head():
            return
        if not self._first_s and self._got.find(EVENT, self._body) >= 0:
            self._first_s = time.perf_counter() - self._begun
        whole = len(self._got) >= self._ends if self._ends else self._got.endswith(LAST_CHUNK)
        if whole:
            self._note(time.perf_counter() - self._begun)
            if time.perf_counter() < self._until:
                self._send()
            else:
                self._end()

    def _read_head(self) -> bool:
        at = self._got.find(b"\r\n\r\n")
        if at < 0:
            return False
        self._body = at + 4
        for line in bytes(self._got[:at]).lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self._ends = self._body + int(line.partition(b":")[2])
        return True

    def _note(self, took_s: float) -> None:
        if (wrong := self._wrong()) is not None:
            self._tally.errors.append(wrong)
            return
        self._tally.took_s.append(took_s)
        self._tally.first_s.append(self._first_s or took_s)

    def _wrong(self) -> str | None:
        if not self._got.startswith(b"HTTP/1.1 200"):
            return bytes(self._got[9:300]).decode(errors="replace")
        if not self._ask.stream:
            said = MADE.search(self._got)
            made = int(said[1]) if said else 0
            return None if made == self._ask.tokens else f"an answer of {made} tokens"
        events = self._got.count(EVENT)  # a token each, then why it ends, then that it does
        complete = events >= self._ask.tokens + 2 and b"[DONE]" in self._got
        return None if complete else f"a stream of {events} events"

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self._tally.errors.append(f"the connection was lost: {error}")
            self._end()

    def _end(self) -> None:
        self.over.set_result(None)
        self._transport.close()


async def burst(urls: list[str], ask: Ask, concurrency: int, seconds: float) -> Tally:
    """So many clients, spread over the addresses."""
    loop, tally, until = asyncio.get_running_loop(), Tally(), time.perf_counter() + seconds

    async def client(number: int) -> None:
        netloc = urlsplit(urls[number % len(urls)]).netloc
        host, _, port = netloc.partition(":")
        request = ask.to(netloc)
        while time.perf_counter() < until:
            _, one = await loop.create_connection(
                lambda: Client(ask, request, until, tally), host, int(port)
            )
            await one.over

    async with asyncio.timeout(seconds + PATIENCE_S):
        await asyncio.gather(*(client(number) for number in range(concurrency)))
    return tally
