"""A cluster with two workers and three keys, as a user would start it, and what it is made of."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import pids_of_run

RAYLAX = Path(sys.executable).with_name("raylax")
READY = "Ctrl-C stops it."
START_S = 180.0
TENANTS = ("alice", "bob", "admin")
CHAT = {"messages": [{"role": "user", "content": "What is 2 + 2?"}], "temperature": 0}


class House:
    """A running `raylax serve`, the keys that open it, and its processes by role."""

    def __init__(self, place: Path, model: str | None, host: str = "127.0.0.1") -> None:
        self.place, self.keys = place, {name: f"rlx-{secrets.token_hex(16)}" for name in TENANTS}
        self.port, self.grpc_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        settings = place / "raylax.yaml"
        settings.write_text(json.dumps({"replicas": 2, "host": host, "keys": self._entries()}))
        self._said = (place / "said").open("w+")
        ports = ["--port", str(self.port), "--grpc-port", str(self.grpc_port)]
        self.command = subprocess.Popen(
            [RAYLAX, "serve", *([model] if model else []), "--config", str(settings), *ports],
            env=os.environ | {"TMPDIR": str(place)},
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while READY not in self.said:
            if self.command.poll() is not None or time.monotonic() > deadline:
                self.end()
                sys.exit(f"raylax serve did not start:\n{self.said}")
            time.sleep(0.1)

    def _entries(self) -> list[dict[str, Any]]:
        def entry(name: str, key: str) -> dict[str, Any]:
            return {"name": name, "sha256": sha256(key.encode()).hexdigest()}

        made = [entry(name, key) for name, key in self.keys.items()]
        return [{**one, "admin": one["name"] == "admin"} for one in made]

    @property
    def said(self) -> str:
        return (self.place / "said").read_text()

    @property
    def run_directory(self) -> Path:
        (found,) = self.place.glob("raylax-*")
        return found

    def pids(self, role: str = "") -> list[int]:
        """Processes whose command line has `role` in it: Router, haproxy, gcs_server, …"""
        everyone = pids_of_run(self.command.pid, self.run_directory)
        return sorted(pid for pid in everyone if role in command_line(pid))

    def client(self, tenant: str | None = "alice", timeout: float = 60) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[tenant]}"} if tenant else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def ask(self, tenant: str = "alice", timeout: float = 60, **body: Any) -> httpx.Response:
        """A small chat, as anybody would ask it."""
        with self.client(tenant, timeout) as client:
            return client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 4, **body})

    def answers(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if self.ask(timeout=within_s).status_code == 200:
                    return True
            time.sleep(0.2)
        return False

    def connect(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def end(self) -> None:
        if self.command.poll() is None:
            self.command.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.command.wait(60)


@contextmanager
def house(model: str | None, host: str = "127.0.0.1") -> Iterator[House]:
    """Nothing of it is left afterwards. Its place has a short name, since sockets lie below it, and
    is open to all as /tmp is: what a run protects must be its own."""
    place = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    place.chmod(0o1777)
    made = House(place, model, host)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(place, ignore_errors=True)


def command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


class Memory:
    """How much more memory some processes take while something is done to them, at most."""

    def __init__(self, pids: list[int]) -> None:
        self._pids, self._over = pids, threading.Event()
        self._before = self.peak = self._now()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Memory":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    @property
    def grown_mb(self) -> float:
        return (self.peak - self._before) / 1e6

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        total = 0
        for pid in self._pids:
            with suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                total += pages * os.sysconf("SC_PAGE_SIZE")
        return total
