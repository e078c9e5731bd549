"""Raylax as people have it: `raylax serve` with its front door and its router, asked over HTTP.

Beside the engine alone it shows what they take. The clients are ours, and are on the same cores.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self, cast

from engines.base import Load, Measurement, Options, PeerFailed
from engines.cores import seconds_of
from engines.inside import Times, prompts, rate
from engines.processes import end, last_error, peak_mb, start
from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import pids_of_run

RAYLAX = Path(sys.executable).with_name("raylax")
READY = "Ctrl-C stops it."
START_S, ANSWER_S, END_S = 600.0, 600.0, 30.0
EVENT, LAST = b"data: {", b"data: [DONE]"
WARM = Load("warm up", 1, 64, 4)


class Served:
    """A cluster of one worker, whose engine has the settings that the others have."""

    def __init__(self, options: Options) -> None:
        self.name = f"served {options.quantization}"
        self._options = options

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="", dir="/tmp")  # sockets lie in it
        self._errors = tempfile.TemporaryFile("w+")
        self._rng = random.Random(0)
        self._port, grpc_port = free_ports(2)
        command = [
            str(RAYLAX), "serve", self._options.model, "--served-model-name", "m",
            "--port", str(self._port), "--grpc-port", str(grpc_port), *self._flags(),
        ]  # fmt: skip
        self._process = start(
            ["setpriv", "--pdeathsig", "INT", *command],  # it ends with us, however that comes
            env=os.environ | {"TMPDIR": self._directory.name},
            stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors,
        )  # fmt: skip
        try:
            self._wait()
            asyncio.run(self._answers(prompts(self._rng, WARM), WARM.answer))
        except BaseException:
            self.__exit__()
            raise
        return self

    def _flags(self) -> list[str]:
        settings = {
            "quantization": self._options.quantization, "max_num_sequence": self._options.sequences,
            "engine.kv_dtype": self._options.kv_dtype, "engine.threads": self._options.threads,
            "engine.max_single_sequence_length": self._options.length,
            "engine.prefix_cache_mode": "disable", "engine.speculative_mode": "disable",
        }  # fmt: skip
        return [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while READY not in self._said():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PeerFailed(self.name, last_error(self._errors))
            time.sleep(0.1)

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            end(self._process)
        self._errors.close()
        self._directory.cleanup()

    def measure(self, load: Load) -> Measurement:
        """The clients' processor time counts as the engine's own, too."""
        pids = self._pids()
        spent = seconds_of(pids) + time.process_time()
        asked, begun = prompts(self._rng, load), time.perf_counter()
        times = asyncio.run(self._answers(asked, load.answer))
        spent = seconds_of(pids) + time.process_time() - spent
        return Measurement(rate(load, begun, times), spent, self._peak_mb())

    def _peak_mb(self) -> float:
        """Of all processes that are there, which come and go."""
        peak = 0.0
        for pid in self._pids():
            with suppress(OSError):
                peak += peak_mb(pid)
        return peak

    def _pids(self) -> set[int]:
        (directory,) = Path(self._directory.name).glob("raylax-*")
        return {self._process.pid} | pids_of_run(self._process.pid, directory)

    async def _answers(self, asked: list[list[int]], answer: int) -> Times:
        async with asyncio.timeout(ANSWER_S):
            return await asyncio.gather(*(self._answer(prompt, answer) for prompt in asked))

    async def _answer(self, prompt: list[int], answer: int) -> list[float]:
        """When each token came. An event may have several, of which only the last made text: they
        are taken to have come as evenly as events did."""
        body = json.dumps(
            {
                "model": "m", "prompt": prompt, "max_tokens": answer, "temperature": 0,
                "ignore_eos": True, "stream": True,
            }
        ).encode()  # fmt: skip
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        _, stream = await asyncio.get_running_loop().create_connection(
            lambda: Stream(head.encode() + body), "127.0.0.1", self._port
        )
        await stream.over
        if not stream.whole:
            raise PeerFailed(self.name, bytes(stream.got[-300:]).decode(errors="replace"))
        events = stream.moments
        return [events[token * len(events) // answer] for token in range(answer)]


class Stream(asyncio.Protocol):
    """One answer, looked at as little as can be: what it costs is taken of the engine's cores."""

    def __init__(self, request: bytes) -> None:
        self._request, self.got = request, bytearray()
        self.moments: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def whole(self) -> bool:
        return bool(self.moments) and LAST in self.got

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self.moments += [time.perf_counter()] * data.count(EVENT)
        self.got += data

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)
