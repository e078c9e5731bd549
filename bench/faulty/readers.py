"""Clients of a cluster that is struck: they read answers, and come back to those that broke off."""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

TTL_S = 60
BACK_S = 90.0
"""How long a client tries to come back to an answer."""
PAUSE_S = 0.2
TOKENS = 1500
ENDS = ("whole", "resumed", "broken", "lost", "refused", "wrong")
"""`broken`: streams that are not resumable; `lost`: resumable ones that could not be gone on with;
`refused`: calls that were answered by no stream."""
GONE = (404, 410)


@dataclass
class Tally:
    """What became of the answers since it was last emptied."""

    counts: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def note(self, end: str, detail: str = "") -> None:
        self.counts[end] += 1
        if detail:
            self.details.append(f"{end}: {detail}")


@dataclass(frozen=True)
class Question:
    """A prompt whose answer is always the same."""

    number: int
    resumable: bool

    @property
    def body(self) -> dict[str, Any]:
        text = f"Tell me the story number {self.number}, please, and take your time."
        return {
            "messages": [{"role": "user", "content": text}],
            "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True, "stream": True,
        }  # fmt: skip


class Reader:
    """Reads one streamed answer, in one piece or in several."""

    def __init__(self, client: httpx.AsyncClient, question: Question) -> None:
        self._client, self._question = client, question
        self.text, self.ended = "", False
        self._call_id, self._last = "", ""
        self.came_back = False

    async def read(self) -> int:
        """Until the end, or until it breaks off for good; the last status. What is resumable is
        come back to for a while."""
        headers = {"X-Raylax-Resume": str(TTL_S)} if self._question.resumable else {}
        status = await self._hear("POST", "/v1/chat/completions", headers, self._question.body)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BACK_S
        while self._call_id and not self.ended and loop.time() < deadline:
            if not self._question.resumable:
                break
            await asyncio.sleep(PAUSE_S)
            self.came_back = True
            last = {"Last-Event-ID": self._last} if self._last else {}
            again = await self._hear("GET", f"/v1/streams/{self._call_id}", last, None)
            if again in GONE:
                break
        return status

    async def _hear(self, method: str, path: str, headers: dict[str, str], body: Any) -> int:
        status = 0
        with suppress(httpx.HTTPError):
            async with self._client.stream(method, path, headers=headers, json=body) as reply:
                status = reply.status_code
                if status == 200:
                    self._call_id = reply.headers.get("x-raylax-call-id", self._call_id)
                    async for line in reply.aiter_lines():
                        self._take(line)
        return status

    def _take(self, line: str) -> None:
        if line.startswith("id: "):
            self._last = line.removeprefix("id: ")
        elif line == "data: [DONE]":
            self.ended = True
        elif line.startswith("data: {"):
            for choice in json.loads(line.removeprefix("data: ")).get("choices", ()):
                self.text += choice["delta"].get("content") or ""


async def keep_reading(
    client: httpx.AsyncClient, questions: list[Question], want: dict[int, str], tally: Tally
) -> None:
    """One answer after another, compared with what an undisturbed cluster has said."""
    while True:
        for question in questions:
            reader = Reader(client, question)
            status = await reader.read()
            if not reader.text and not reader.came_back and status != 200:
                tally.note("refused")
                await asyncio.sleep(PAUSE_S)
            elif not reader.ended:
                tally.note("broken" if not question.resumable else "lost")
                if not want[question.number].startswith(reader.text):
                    tally.note("wrong", f"{question.number}: {reader.text!r}")
            elif reader.text != want[question.number]:
                tally.note("wrong", f"{question.number}: {reader.text!r}")
            else:
                tally.note("resumed" if reader.came_back else "whole")
