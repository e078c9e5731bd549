"""Answers that outlive their client: parts are kept, numbered from 1, and can be read again.

A task of its own takes an answer to its end, whoever reads it. When nobody has for some time, it
is cancelled and forgotten; before that, where there are too many, or too large ones: of the tenant
that has kept most, those that nobody reads, the oldest first.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Generic, TypeVar

from raylax.proto.errors import NotFound, Overloaded, RaylaxError, shown
from raylax.proto.shares import ShareOf, Shares, equal
from raylax.router.resume.answer_log import AnswerLog

MOST_ANSWERS, MOST_BYTES = 1024, 256 << 20
Part = TypeVar("Part")


class KeptAnswer(Generic[Part]):
    """An answer as far as it has come. Reading it does not use it up."""

    def __init__(
        self,
        tenant: str,
        parts: AsyncGenerator[Part],
        ttl_s: float,
        grow: Callable[["KeptAnswer[Part]", int], None],
        log: AnswerLog | None = None,
    ) -> None:
        """`grow`: makes room for so many bytes more. `log`: by which another router could go on
        with it."""
        self.tenant, self.ttl_s, self.log, self._grow = tenant, ttl_s, log, grow
        self.bytes, self.forgotten = 0, False
        self._parts: list[Part] = []
        self._error: RaylaxError | None = None
        self._over = False
        self._grown = asyncio.Event()
        self.readers = 0
        self._task = asyncio.create_task(self._take(parts))

    def __len__(self) -> int:
        return len(self._parts)

    async def read(self, after: int = 0) -> AsyncIterator[tuple[int, Part]]:
        """Parts from number `after + 1` on, each with its number, as they come; then the end, or
        the error that the answer ended with."""
        at = after
        while True:
            while at < len(self._parts):
                at += 1
                yield at, self._parts[at - 1]
            if self._over:
                break
            await self._grown.wait()
        if self._error is not None:
            raise self._error

    @property
    def void(self) -> bool:
        """Whether it has ended without a part: then whoever asked has been told why."""
        return self._over and not self._parts

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self, parts: AsyncGenerator[Part]) -> None:
        try:
            async for part in parts:
                self._grow(self, size_of(part))
                self._parts.append(part)
                self._wake_readers()
        except RaylaxError as error:
            self._error = error
        finally:
            self._over = True
            self._wake_readers()
            await parts.aclose()  # cancels what still runs

    def _wake_readers(self) -> None:
        """Tells them of a new part, or of the end; who comes later waits for the next one."""
        self._grown.set()
        self._grown = asyncio.Event()


class KeptAnswers:
    """The answers that one router keeps, by API and call id, as `http:ID`. Used on one event
    loop."""

    def __init__(
        self,
        longest_ttl_s: float,
        most: int = MOST_ANSWERS,
        most_bytes: int = MOST_BYTES,
        share_of: ShareOf = equal,
    ) -> None:
        self._longest_ttl_s = longest_ttl_s
        self._shares, self._bytes = Shares(most, share_of), Shares(most_bytes, share_of)
        self._answers: dict[str, KeptAnswer[Any]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._answers)

    def begin(
        self,
        call_id: str,
        tenant: str,
        parts: AsyncGenerator[Part],
        ttl_s: float,
        log: AnswerLog | None = None,
        again: bool = False,
    ) -> KeptAnswer[Part]:
        """Starts to take the parts of an answer, which is kept for `ttl_s` seconds after its last
        reader has left. Raises Overloaded, but for what another router has kept before, `again`."""
        if again:
            self._shares.move_in(tenant, 1)
        elif not self._shares.take(tenant, 1):
            raise Overloaded(
                f"at most {self._shares.total} answers are kept for their clients to come back, "
                f"{self._shares.held(tenant)} of them are yours and there is room for none more",
                retry_after_s=self._longest_ttl_s,
            )
        self._make_room(self._shares)
        answer = KeptAnswer(tenant, parts, min(ttl_s, self._longest_ttl_s), self._grow, log)
        self._answers[call_id] = answer
        self._expire(call_id, answer)
        return answer

    def find(self, call_id: str, tenant: str) -> KeptAnswer[Any]:
        """The answer to this call. Raises NotFound, also for another tenant's."""
        answer = self._answers.get(call_id)
        if answer is None or answer.tenant != tenant:
            _, _, id = call_id.partition(":")
            raise NotFound(
                f"no answer {shown(id)} is kept here: it was not asked for as resumable, or its "
                "time is over",
                param="id",
            )
        return answer

    async def read(
        self, call_id: str, tenant: str, after: int = 0
    ) -> AsyncGenerator[tuple[int, Any]]:
        """Its parts after number `after`, with their numbers. Raises NotFound before the first one.
        Close it when its client has left."""
        answer = self.find(call_id, tenant)
        if (timer := self._timers.pop(call_id, None)) is not None:
            timer.cancel()
        answer.readers += 1
        try:
            async for numbered in answer.read(after):
                yield numbered
        finally:
            answer.readers -= 1
            if answer.void:
                self._forget(call_id)
            elif not answer.readers:
                self._expire(call_id, answer)

    async def close(self) -> None:
        """Other routers may go on with them."""
        for call_id, answer in list(self._answers.items()):
            if answer.log is not None:
                answer.log.leave()
            self._forget(call_id)
        await asyncio.gather(*self._closing)

    def _grow(self, answer: KeptAnswer[Any], more: int) -> None:
        """Counts the bytes of an answer's next part. A tenant that has no room for them loses what
        else it has kept. Raises Overloaded where there is nothing to lose."""
        while not answer.forgotten and not self._bytes.take(answer.tenant, more):
            if not self._forget_oldest(answer.tenant):
                raise Overloaded(
                    f"answers that are kept may have {self._bytes.total} bytes, "
                    f"{self._bytes.held(answer.tenant)} are yours and {more} more were to come",
                    retry_after_s=self._longest_ttl_s,
                )
        if not answer.forgotten:
            answer.bytes += more
            self._make_room(self._bytes)

    def _make_room(self, shares: Shares) -> None:
        """Beyond the bound, who has kept most loses the oldest. Where all of them are being read
        there is more for as long as that is so."""
        while shares.used > shares.total and self._forget_oldest(shares.greediest):
            pass

    def _forget_oldest(self, tenant: str) -> bool:
        """Forgets the oldest of a tenant's that nobody reads; whether there was one."""
        for call_id, answer in self._answers.items():
            if answer.tenant == tenant and not answer.readers:
                self._forget(call_id)
                return True
        return False

    def _expire(self, call_id: str, answer: KeptAnswer[Any]) -> None:
        """Forgets it after its time, unless somebody reads it before."""
        later = asyncio.get_running_loop().call_later
        self._timers[call_id] = later(answer.ttl_s, self._forget, call_id)

    def _forget(self, call_id: str) -> None:
        if (timer := self._timers.pop(call_id, None)) is not None:
            timer.cancel()
        if (answer := self._answers.pop(call_id, None)) is not None:
            answer.forgotten = True
            self._shares.give_back(answer.tenant, 1)
            self._bytes.give_back(answer.tenant, answer.bytes)
            if answer.log is not None:
                if answer.void and answer.log.said:  # it was refused here: there is more to come
                    answer.log.leave()
                else:
                    answer.log.remove()
            task = asyncio.get_running_loop().create_task(answer.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def size_of(part: Any) -> int:
    """The bytes of a part: of text, or of a message."""
    return len(part) if isinstance(part, bytes) else int(part.ByteSize())
