"""Makes prompts in a few processes, and ends those that take too long or too much memory.

What is small has a moment. If that is not enough it begins anew as slow work, which is what all
that is large is; slow work never has all processes, and what others ask goes on meanwhile. After
slow work a process is replaced, since it may have taken memory.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

from raylax.proto.calls.prompt_work import DecodeWork, ListWork, PromptWork, Work
from raylax.proto.errors import (
    InvalidRequest,
    Overloaded,
    PromptTooLong,
    RaylaxError,
    WorkerUnavailable,
)
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.shares import ShareOf, equal
from raylax.proto.warnings import warn
from raylax.router.prompts.errors import ForkServerLost, ModelAtFault
from raylax.router.prompts.forks import ForkServer, PromptProcess
from raylax.router.prompts.frames import Answer, Question, question_frame
from raylax.router.prompts.limits import PromptLimits
from raylax.router.prompts.process import FAILED, MEMORY, TOO_LONG
from raylax.router.prompts.turns import RETRY_AFTER_S, Turn, Turns

log = logging.getLogger(__name__)
SMALL_BYTES = 64 << 10
MOMENT_S = 0.25
COST_OF_SLOW = 1 << 20
"""What work counts that was small, and was slow all the same, as if it had so many bytes."""
MOST_ANSWER_BYTES = 64 << 20
PATIENCE_S = 30.0
"""For a process to be there, since one is started in milliseconds."""
LEAST_CPU = 0.2
"""Of the time; a process that has had less was kept from running, and its program is not at
fault."""
LATE = 4
"""So many times its time a process may take on a machine that does other things."""
MOST_GRAMMARS = 64
"""That are kept; each has 128 KiB at most."""
MOST_TRIES = 2
"""Beside those that only find out that a process was stopped or killed before."""
AGAIN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose prompt it is, and how large the request."""

    tenant: str
    share: float
    size: int


class Unanswered(Exception):
    """A process has not answered, and was ended: by whose program, and whether that has run."""

    def __init__(self, process: PromptProcess) -> None:
        super().__init__()
        self.stage, self.cpu_s, self.has_begun = process.stage, process.cpu_s, process.has_begun
        self.has_failed = process.has_failed


class TookTooLong(Unanswered):
    """It had its time."""


class ProcessLost(Unanswered):
    """It has ended, or said what no process of ours says."""


class PromptPool:
    """Makes the prompts of all models of a router. Used on one event loop."""

    def __init__(
        self, models: Mapping[str, str], limits: PromptLimits, share_of: ShareOf = equal
    ) -> None:
        """`models`: their directories by name."""
        self._models, self._limits = models, limits
        self._index = {name: i for i, name in enumerate(models)}
        self._turns = Turns(limits.processes, limits.max_wait_s, share_of=share_of)
        self._ready: asyncio.LifoQueue[PromptProcess] = asyncio.LifoQueue()
        self._processes = set[PromptProcess]()
        self._server: ForkServer | None = None
        self._filling: asyncio.Task[None] | None = None
        self._closed = False
        self._failure = ""
        self._grammars = OrderedDict[bytes, str]()  # by what was asked for

    async def start(self) -> None:
        """Have the processes ready. Raises NotLoaded for models that cannot be loaded, or else
        ForkServerLost."""
        self._server = await ForkServer.started(self._models, self._limits.memory_bytes)
        self._fill()
        if self._filling is not None:
            await self._filling

    async def ids(self, model: str, work: PromptWork, asker: Asker) -> Sequence[Sequence[int]]:
        """The token ids of the prompts. Raises InvalidRequest, Overloaded and WorkerUnavailable."""
        answer = await self._answer(model, work, asker, work.field)
        try:
            return answer.ids
        except ValueError as error:
            raise ModelAtFault(
                f"{work.field}: the tokenizer of {model} fails: {error}", param=work.field
            ) from None

    async def token_list(self, model: str, work: ListWork, asker: Asker) -> tuple[bytes, int]:
        """What is written of the tokens, and how many they are. Raises as `ids` does."""
        answer = await self._answer(model, work, asker, work.of.field)
        return answer.content, sum(answer.lengths)

    async def text(self, model: str, work: DecodeWork, asker: Asker) -> str:
        """The text of token ids. Raises as `ids` does."""
        answer = await self._answer(model, work, asker, "tokens")
        try:
            return answer.content.decode()
        except UnicodeDecodeError as error:
            raise ModelAtFault(f"tokens: the tokenizer of {model} fails: {error}") from None

    async def grammar(self, model: str, constraint: Constraint, asker: Asker) -> str:
        """The grammar of what an answer is to be, which was checked. The last ones are kept. Raises
        as `ids` does."""
        key = sha256(question_frame(Question(self._index[model], constraint))).digest()
        if (kept := self._grammars.get(key)) is not None:
            self._grammars.move_to_end(key)
            return kept
        answer = await self._answer(model, constraint, asker, constraint.field)
        try:
            grammar = answer.content.decode()
        except UnicodeDecodeError as error:
            field = constraint.field
            raise ModelAtFault(f"{field}: is no grammar: {error}", param=field) from None
        self._grammars[key] = grammar
        while len(self._grammars) > MOST_GRAMMARS:
            self._grammars.popitem(last=False)
        return grammar

    async def close(self) -> None:
        """End all processes."""
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
        for process in self._processes:
            process.end()
        if self._server is not None:
            self._server.close()

    @property
    def pids(self) -> list[int]:
        """Of the processes that make prompts, and of the one that makes them."""
        server = [] if self._server is None else [self._server.pid]
        return [*(process.pid for process in self._processes), *server]

    async def _answer(self, model: str, work: Work, asker: Asker, field: str) -> Answer:
        question = question_frame(Question(self._index[model], work))
        slow, lost, cost = asker.size > SMALL_BYTES, 0, asker.size
        for _ in range(self._limits.processes + MOST_TRIES):
            allowed_s = self._limits.allowed_s(asker.size) if slow else MOMENT_S
            try:
                turn = Turn(asker.tenant, cost / asker.share, slow)
                answer = await self._asked(question, turn, allowed_s)
            except TookTooLong as late:
                if slow and late.cpu_s >= LEAST_CPU * allowed_s:
                    raise self._too_long(model, asker.size, late.stage, field) from None
                if late.has_begun:
                    slow, cost = True, COST_OF_SLOW
            except ProcessLost as gone:
                lost += gone.has_begun
                if gone.has_failed or lost > 1:  # once, somebody may have killed it
                    raise self._too_large(model, gone.stage, field) from None
            else:
                return self._checked(model, answer, field)
        raise Overloaded(
            "the processes that make prompts do not get to run; try again",
            retry_after_s=RETRY_AFTER_S,
        )

    async def _asked(self, question: bytes, turn: Turn, allowed_s: float) -> Answer:
        async with self._turns.taken(turn):
            process = await self._process()
            keep = False
            try:
                async with cpu_timeout(process, allowed_s):
                    answer = await process.ask(question, MOST_ANSWER_BYTES)
                keep = not turn.slow and answer.error not in (MEMORY, FAILED)
                return answer
            except TimeoutError:
                raise TookTooLong(process) from None
            except (OSError, ValueError):
                raise ProcessLost(process) from None
            finally:
                if keep:
                    self._ready.put_nowait(process)
                else:
                    self._discard(process)

    def _checked(self, model: str, answer: Answer, field: str) -> Answer:
        """The answer, if there is one. Raises InvalidRequest."""
        for warning in answer.warnings:
            warn(warning)
        match answer.error:
            case "":
                return answer
            case failure if failure == MEMORY:
                raise self._too_large(model, answer.message, field)
            case failure if failure == TOO_LONG:
                raise PromptTooLong(answer.message, param=answer.param)
            case failure if failure == FAILED:
                raise ModelAtFault(
                    f"{field}: the {answer.message} of {model} fails at this request", param=field
                )
        raise InvalidRequest(answer.message, param=answer.param)

    def _too_long(self, model: str, size: int, stage: str, field: str) -> RaylaxError:
        allowed_s = self._limits.allowed_s(size)
        return ModelAtFault(
            f"{field}: the {stage} of {model} may take {allowed_s:.1f} s of CPU for a request "
            f"of {size} bytes (prompt_timeout_s), it takes longer",
            param=field,
        )

    def _too_large(self, model: str, stage: str, field: str) -> RaylaxError:
        return ModelAtFault(
            f"{field}: the {stage} of {model} ends the process that it runs in, or wants more than "
            f"the {self._limits.memory_bytes} bytes that it may have (prompt_memory_bytes)",
            param=field,
        )

    async def _process(self) -> PromptProcess:
        if not self._ready.empty():
            return self._ready.get_nowait()
        self._fill()
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._ready.get()
        except TimeoutError:
            raise WorkerUnavailable(
                f"prompts cannot be made now: {self._failure}", retry_after_s=RETRY_AFTER_S
            ) from None

    def _discard(self, process: PromptProcess) -> None:
        process.end()
        self._processes.discard(process)
        self._fill()

    def _fill(self) -> None:
        if not self._closed and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._filled())

    async def _filled(self) -> None:
        """Have as many processes as there may be."""
        while len(self._processes) < self._limits.processes:
            try:
                if self._server is None or self._server.lost:
                    models, memory_bytes = self._models, self._limits.memory_bytes
                    self._server = await ForkServer.started(models, memory_bytes)
                process = await self._server.fork()
            except (ForkServerLost, OSError) as error:
                self._failure = str(error)
                log.error("processes that make prompts cannot be started: %s", error)
                await asyncio.sleep(AGAIN_AFTER_S)
            else:
                self._processes.add(process)
                self._ready.put_nowait(process)


@asynccontextmanager
async def cpu_timeout(process: PromptProcess, allowed_s: float) -> AsyncIterator[None]:
    """Raises TimeoutError when the process has used so much CPU time, or has taken `LATE` times as
    long."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    next_look: asyncio.TimerHandle

    def look() -> None:
        nonlocal next_look
        now = loop.time()
        left_s = min(allowed_s - process.cpu_s, begun + LATE * allowed_s - now)
        if left_s <= 0:
            limit.reschedule(now)
        else:
            next_look = loop.call_later(left_s, look)

    async with asyncio.timeout(None) as limit:  # one timer, for nearly all are done before it
        next_look = loop.call_later(allowed_s, look)
        try:
            yield
        finally:
            next_look.cancel()
