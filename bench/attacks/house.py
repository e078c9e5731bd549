"""A cluster with two workers and three keys, as a user would start it, and what it is made of."""

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from faulty.members import ServedCluster
from faulty.pressure import temporary_directory

from raylax.cluster.supervision.roles import Role

START_S = 180.0
LOOK_EVERY_S = 0.1
TENANTS = ("alice", "bob", "admin")
CHAT = {"messages": [{"role": "user", "content": "What is 2 + 2?"}], "temperature": 0}


class House(ServedCluster):
    """A running `raylax serve`, and the keys that open it."""

    def __init__(self, place: Path, model: str | None, host: str = "127.0.0.1") -> None:
        self.keys = {name: f"rlx-{secrets.token_hex(16)}" for name in TENANTS}
        self.settings = place / "raylax.yaml"
        told = {"replicas": 2, "host": host, "keys": self._entries()}
        self.settings.write_text(json.dumps(told))
        super().__init__(place, None, *([model] if model else []), "--config", str(self.settings))
        try:
            self.wait_until_it_serves(START_S)
        except TimeoutError as error:
            self.end()
            sys.exit(str(error))

    def _entries(self) -> list[dict[str, Any]]:
        def entry(name: str, key: str) -> dict[str, Any]:
            return {"name": name, "sha256": sha256(key.encode()).hexdigest()}

        made = [entry(name, key) for name, key in self.keys.items()]
        return [{**one, "admin": one["name"] == "admin"} for one in made]

    @property
    def run_directory(self) -> Path:
        (found,) = self.temporary.glob("raylax-*")
        return found

    def pids(self, *roles: Role) -> list[int]:
        """Of its processes; all of them, unless roles are named."""
        return sorted(pid for pid, role in self.members().items() if not roles or role in roles)

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


@contextmanager
def house(model: str | None, host: str = "127.0.0.1") -> Iterator[House]:
    """Nothing of it is left afterwards. Its place has a short name, since sockets lie below it, and
    is open to all as /tmp is: what a run protects must be its own."""
    with temporary_directory() as place:
        place.chmod(0o1777)
        made = House(place, model, host)
        try:
            yield made
        finally:
            made.end()


class Memory:
    """How much more memory some processes take while something is done to them, at most."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        """`pids`: those that there are now, since some are replaced."""
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
        while not self._over.wait(LOOK_EVERY_S):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        total = 0
        for pid in self._pids():
            with suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                total += pages * os.sysconf("SC_PAGE_SIZE")
        return total
