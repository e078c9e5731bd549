"""A client with a key, or without, that costs more than it may: connections, bodies, answers."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from attacks.house import House, Memory
from attacks.report import Attack, Broken
from raylax.cluster.supervision.roles import Role
from raylax.proto.client.sync import Client
from raylax.proto.errors import RaylaxError

MANY = 4300
HEALTH_S = 5.0
BODIES, BODY_BYTES = 150, 8 << 20
MOST_MB = 600.0
"""What an attack may cost the routers at most, far below what a small machine has."""
READERS = 8
ROUTERS = (Role.ROUTER, Role.OTHER)
"""With the processes that make prompts for them."""


def health_s(house: House) -> float:
    """Seconds that /health takes; a minute if it does not come."""
    begun = time.monotonic()
    try:
        with house.client(None, HEALTH_S) as client:
            client.get("/health")
        return time.monotonic() - begun
    except Exception:
        return 60.0


def worst_health_s(house: House, for_s: float) -> float:
    end, worst = time.monotonic() + for_s, 0.0
    while time.monotonic() < end:
        worst = max(worst, health_s(house))
        time.sleep(0.5)
    return worst


@contextmanager
def connections(house: House, count: int, said: bytes = b"") -> Iterator[int]:
    """So many connections that say no more than this; how many could be opened."""
    with ExitStack() as held:
        opened = 0
        for _ in range(count):
            try:
                one = held.enter_context(house.connect(2))
                one.sendall(said)
                opened += 1
            except OSError:
                break
        yield opened


def opens_silent_connections(house: House) -> str:
    """Thousands of silent connections of one source shut nobody out."""
    with connections(house, MANY) as opened:
        worst = worst_health_s(house, 12)
    if worst > HEALTH_S:
        raise Broken(f"{opened} connections: /health did not answer within {HEALTH_S:g} s")
    return f"{opened} connections; /health took {worst:.2f} s at most"


def opens_silent_grpc_connections(house: House) -> str:
    """The same at the port for gRPC: some say nothing, others all but a call."""
    said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
    with ExitStack() as held:
        opened, worst, at = 0, 0.0, f"127.0.0.1:{house.grpc_port}"
        for number in range(2 * MANY):
            with suppress(OSError):
                one = socket.create_connection(("127.0.0.1", house.grpc_port), 2)
                held.enter_context(one).sendall(said if number % 2 else b"")
                opened += 1
        end = time.monotonic() + 12
        while (begun := time.monotonic()) < end:
            try:
                with Client(at, api_key=house.keys["alice"], timeout_s=HEALTH_S) as client:
                    client.models()
            except RaylaxError as error:
                raise Broken(f"{opened} connections: {error}") from error
            worst = max(worst, time.monotonic() - begun)
            time.sleep(0.5)
    return f"{opened} connections; a call took {worst:.2f} s at most"


def never_ends_its_head(house: House) -> str:
    """A request whose head does not come is closed after seconds."""
    with house.connect(30) as raw:
        raw.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        begun = time.monotonic()
        raw.settimeout(30)
        with suppress(OSError):
            while raw.recv(4096):
                pass
        took = time.monotonic() - begun
    if took > 15:
        raise Broken(f"still open after {took:.0f} s")
    return f"closed after {took:.1f} s"


def never_ends_its_bodies(house: House) -> str:
    """Unfinished bodies have one budget of memory, and leave room for others."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {house.keys['bob']}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {BODY_BYTES}\r\n\r\n"
    ).encode()
    part = b'{"user":"' + b"x" * (BODY_BYTES - 100)

    def send(raw: socket.socket) -> None:
        with suppress(OSError):
            raw.settimeout(10)
            raw.sendall(head + part)

    with Memory(partial(house.pids, *ROUTERS)) as memory, ExitStack() as held:
        threads = []
        for _ in range(BODIES):
            with suppress(OSError):
                raw = held.enter_context(house.connect(3))
                threads.append(threading.Thread(target=send, args=(raw,), daemon=True))
                threads[-1].start()
        for thread in threads:
            thread.join(15)
        begun = time.monotonic()
        status = house.ask("alice", 15).status_code
        took = time.monotonic() - begun
    if memory.grown_mb > MOST_MB or status != 200:
        raise Broken(f"the router took {memory.grown_mb:.0f} MB more; another's chat: {status}")
    return f"{memory.grown_mb:.0f} MB more; another's chat took {took:.1f} s"


def reads_big_answers_slowly(house: House) -> str:
    """Answers of megabytes that nobody reads are bounded, all together."""
    raw_body = json.dumps(
        {"prompt": "\U0001f600" * ((BODY_BYTES - 300) // 4), "return_token_strs": True},
        ensure_ascii=False,
    ).encode()
    head = (
        f"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        f"{house.keys['bob']}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw_body)}\r\n\r\n"
    ).encode()

    def send(raw: socket.socket) -> None:
        with suppress(OSError):
            raw.settimeout(60)
            raw.sendall(head + raw_body)

    with Memory(partial(house.pids, *ROUTERS)) as memory, ExitStack() as held:
        for _ in range(READERS):
            raw = held.enter_context(house.connect(5))
            threading.Thread(target=send, args=(raw,), daemon=True).start()
        time.sleep(2)
        begun = time.monotonic()
        response = house.ask("alice", 90, user="x" * 12000)
        took = time.monotonic() - begun
        time.sleep(10)
    if memory.grown_mb > MOST_MB or response.status_code != 200 or took > 10:
        raise Broken(
            f"the router took {memory.grown_mb:.0f} MB more; another's chat of 12 KB: "
            f"{response.status_code} after {took:.1f} s"
        )
    return f"{memory.grown_mb:.0f} MB more; another's chat took {took:.1f} s"


ATTACKS: list[Attack] = [
    opens_silent_connections,
    opens_silent_grpc_connections,
    never_ends_its_head,
    never_ends_its_bodies,
    reads_big_answers_slowly,
]
