"""A router's side of the fork server and of the processes that it makes."""

import asyncio
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Self

from raylax.router.prompts.errors import ForkServerLost, NotLoaded
from raylax.router.prompts.fork_server import LONGEST_MESSAGE, READY
from raylax.router.prompts.frames import ANSWER, LONGEST_HEAD, Answer, answer_of
from raylax.router.prompts.process import CPU_AT_START, NOT_BEGUN, SHARED_BYTES, STAGES

LOAD_S = 30.0
"""To load the models; the largest tokenizers take a second or two."""
FORK_S = 10.0
BY_ITSELF = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL})
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class PromptProcess:
    """A process that makes prompts, as its router has it."""

    def __init__(
        self, server: "ForkServer", pid: int, sock: socket.socket, shared: mmap.mmap
    ) -> None:
        self.pid, self.ended = pid, False
        self._server, self._sock, self._shared = server, sock, shared

    async def ask(self, question: bytes, most_bytes: int) -> Answer:
        """The answer to a question. Raises ConnectionError when the process ends, and ValueError
        for an answer that is none, or has more than `most_bytes`."""
        loop = asyncio.get_running_loop()
        self._shared[0] = NOT_BEGUN
        await loop.sock_sendall(self._sock, question)
        data = bytearray()
        while len(data) < ANSWER.size:
            data += await self._some(loop)
        head, content = ANSWER.unpack_from(data)
        if head > LONGEST_HEAD or content > most_bytes:
            raise ValueError(f"an answer may have {most_bytes} bytes, it has {content}")
        if (there := len(data)) < (size := ANSWER.size + head + content):
            data.extend(bytes(size - there))
            with memoryview(data) as view:
                while there < size:
                    more = await loop.sock_recv_into(self._sock, view[there:])
                    if not more:
                        raise ConnectionResetError
                    there += more
        begin = ANSWER.size + head
        return answer_of(bytes(data[ANSWER.size : begin]), bytes(data[begin:size]))

    async def _some(self, loop: asyncio.AbstractEventLoop) -> bytes:
        data = await loop.sock_recv(self._sock, 1 << 16)
        if not data:
            raise ConnectionResetError
        return data

    @property
    def has_begun(self) -> bool:
        """Whether it has taken its question. One that was stopped or killed before has not."""
        return self._shared[0] != NOT_BEGUN

    @property
    def stage(self) -> str:
        """Whose program runs in it, or has run last."""
        said = self._shared[0]
        return STAGES[said] if said < len(STAGES) else STAGES[0]

    @property
    def cpu_s(self) -> float:
        """CPU time that it has used for its question."""
        fields = self._stat()
        if not fields or not self.has_begun:
            return 0.0
        (before,) = CPU_AT_START.unpack_from(self._shared)
        return float(int(fields[11]) + int(fields[12])) / TICKS_PER_S - float(before)

    @property
    def has_failed(self) -> bool:
        """Whether it has ended by its own doing: where there is no memory left, libraries abort."""
        fields = self._stat()
        return bool(fields) and int(fields[-1]) & 0x7F in BY_ITSELF

    def _stat(self) -> list[str]:
        """What proc(5) says of it, after its name; it is there until its server lets go of it."""
        try:
            with open(f"/proc/{self.pid}/stat") as file:
                return file.read().rpartition(")")[2].split()
        except OSError:
            return []

    def end(self) -> None:
        """Kill it, whatever it does."""
        if not self.ended:
            self.ended = True
            self._sock.close()
            self._shared.close()
            self._server.end(self.pid)


class ForkServer:
    """A started fork server, which has loaded its models."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.lost = False
        self.pid = process.pid
        self._process, self._control = process, control
        self._forking = asyncio.Lock()

    @classmethod
    async def started(cls, models: Mapping[str, str], memory_bytes: int) -> Self:
        """Loads the models: directories by name. Raises NotLoaded, or else
        ForkServerLost."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.to_thread(spawn, theirs, models, memory_bytes)
        except BaseException:
            ours.close()
            raise
        server = cls(process, ours)
        try:
            said = await server._hear(LOAD_S)
            if said != READY:
                raise NotLoaded(said.decode(errors="replace"))
        except BaseException:
            server.close()
            raise
        return server

    async def fork(self) -> PromptProcess:
        """A new process. Raises ForkServerLost."""
        async with self._forking:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            memory = os.memfd_create("raylax-prompts")
            try:
                os.ftruncate(memory, SHARED_BYTES)
                shared = mmap.mmap(memory, SHARED_BYTES)
                socket.send_fds(self._control, [b"fork"], [theirs.fileno(), memory])
                pid = int(await self._hear(FORK_S))
            except BaseException as error:
                self.close()  # its answer, if one comes, would be taken for another's
                ours.close()
                if isinstance(error, OSError):
                    raise ForkServerLost(str(error)) from None
                raise
            finally:
                theirs.close()
                os.close(memory)
        return PromptProcess(self, pid, ours, shared)

    async def _hear(self, patience_s: float) -> bytes:
        try:
            async with asyncio.timeout(patience_s):
                said = await asyncio.get_running_loop().sock_recv(self._control, LONGEST_MESSAGE)
        except TimeoutError:
            raise ForkServerLost(f"it did not answer within {patience_s:g} s") from None
        except OSError as error:
            raise ForkServerLost(str(error)) from None
        if not said:
            raise ForkServerLost("it has ended")
        return said

    def end(self, pid: int) -> None:
        """Kill one of its processes."""
        if not self.lost:
            try:
                self._control.send(str(pid).encode())
            except OSError:
                self.close()

    def close(self) -> None:
        """End it, and all processes that it has made."""
        if not self.lost:
            self.lost = True
            self._control.close()
            self._process.kill()
            self._process.wait()


def spawn(
    control: socket.socket, models: Mapping[str, str], memory_bytes: int
) -> subprocess.Popen[bytes]:
    """Start the fork server, which finds our modules where we have them."""
    number = control.fileno()
    given = (str(number), json.dumps([*models.items()]), str(memory_bytes))
    path = os.pathsep.join(one for one in sys.path if one)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "raylax.router.prompts.fork_server", *given],
        env={**os.environ, "PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false"},
        stdin=subprocess.DEVNULL,
        pass_fds=[number],
    )
