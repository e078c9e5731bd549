"""Two hosts, one of which joins the other: what they serve together, and how the second one goes.

Hosts are network namespaces. Each test leaves the first one serving, and the second one away.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.cluster.supervision.processes import running
from tests.support.checkpoints import write_checkpoint
from tests.support.cluster_joining import Machines, machines
from tests.support.cluster_serving import STOP_S, Command, until
from tests.support.network import Host

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
CALLS = 4
PATIENCE_S = 300.0
GREEDY: Any = {"temperature": 0, "ignore_eos": True}
BEGUN, TOKENS = 20, 2000
"""Parts of an answer after which something happens; its tokens."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    model = tmp_path_factory.mktemp("served") / "long"
    with machines(str(write_checkpoint(model, max_position_embeddings=16384))) as made:
        yield made


@pytest.fixture
def client(hosts: Machines) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hosts.head.url, timeout=PATIENCE_S) as made:
        yield made


@pytest.fixture
def joined(hosts: Machines, client: httpx.Client) -> Iterator[Command]:
    """With a worker that is given requests."""
    made = hosts.join()

    def both_compute() -> bool:
        ask(client, "abc")
        return all(done(client, host.address) for host in (hosts.first, hosts.other))

    until(both_compute, PATIENCE_S)
    yield made
    hosts.other.plug_it_in()
    made.end()


def workers(client: httpx.Client, address: str) -> list[dict[str, Any]]:
    """Those that serve on a machine."""
    return [
        one
        for one in client.get("/cluster").json()["workers"]
        if one["address"].startswith(f"{address}:") and one["state"] == "ready" and one["age_s"] < 5
    ]


def done(client: httpx.Client, address: str) -> float:
    """Tokens that its worker has computed."""
    return sum(float(one["done"]["step_tokens_sum"]) for one in workers(client, address))


def ask(client: httpx.Client, prompt: str) -> str:
    answer = client.post("/v1/completions", json={"prompt": prompt, "max_tokens": 8, **GREEDY})
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["text"]
    return text


class Answers:
    """Long ones, to prompts of their own, that are read while something happens."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._pool = ThreadPoolExecutor(CALLS)
        self._parts = [list[str]() for _ in range(CALLS)]
        self._read = [self._pool.submit(self._stream, number) for number in range(CALLS)]
        until(lambda: all(len(one) > BEGUN for one in self._parts), PATIENCE_S)
        assert not any(one.done() for one in self._read)

    def are_whole(self) -> bool:
        """Each goes to its end, and is what comes again when all is quiet."""
        for one in self._read:
            one.result(PATIENCE_S)
        came = ["".join(one) for one in self._parts]
        for parts in self._parts:
            parts.clear()
        again = [self._pool.submit(self._stream, number) for number in range(CALLS)]
        for one in again:
            one.result(PATIENCE_S)
        self._pool.shutdown()
        return came == ["".join(one) for one in self._parts]

    def _stream(self, number: int) -> None:
        body = {"prompt": f"abc{number}", "max_tokens": TOKENS, "stream": True, **GREEDY}
        with self._client.stream("POST", "/v1/completions", json=body) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    self._parts[number].append(json.loads(line[6:])["choices"][0]["text"])


def test_both_answer(hosts: Machines, joined: Command) -> None:
    """Each has computed its part; people are told who has come."""
    assert f"{hosts.other.address} has joined, with " in hosts.head.output


def test_a_machine_that_is_lost_loses_nothing(
    hosts: Machines, client: httpx.Client, joined: Command
) -> None:
    """Its cable is pulled while it computes. It notices by itself, and ends what it has."""
    before, answers = joined.pids(), Answers(client)
    hosts.other.pull_the_cable()

    assert answers.are_whole()
    until(lambda: f"{hosts.other.address} has left" in hosts.head.output, PATIENCE_S)
    until(lambda: not running(before), PATIENCE_S)
    hosts.other.plug_it_in()
    until(lambda: joined.output.count("has joined") == 2, PATIENCE_S)


def test_a_machine_that_is_killed_loses_nothing(
    hosts: Machines, client: httpx.Client, joined: Command
) -> None:
    """All of its processes at once."""
    everything, answers = {joined.command.pid, *joined.pids()}, Answers(client)
    for pid in everything:
        os.kill(pid, signal.SIGKILL)

    assert answers.are_whole()


def test_ctrl_c_gives_the_machine_back(
    hosts: Machines, client: httpx.Client, joined: Command
) -> None:
    """What it computes moves on, and nothing of it is left."""
    started, directory = joined.pids(), joined.run_directory
    answers = Answers(client)
    took_s = joined.interrupt()

    assert took_s < STOP_S
    assert joined.command.returncode == 0
    assert running(started) == []
    assert not directory.exists()
    assert "Traceback" not in joined.output
    assert answers.are_whole()


def test_a_second_ctrl_c_does_not_wait(hosts: Machines, joined: Command) -> None:
    started = joined.pids()
    joined.command.send_signal(signal.SIGINT)
    until(lambda: "leaving" in joined.output, STOP_S)
    took_s = joined.interrupt()

    assert took_s < 2
    assert running(started) == []


def test_other_machines_hear_nothing(hosts: Machines, joined: Command) -> None:
    """At whatever the processes of either listen on for each other, but at the ports for clients:
    who has no certificate of the cluster's is heard by nobody."""
    found = {*outward(hosts.head, hosts.first), *outward(joined, hosts.other)}
    clients = {(hosts.first.address, port) for port in (hosts.head.port, hosts.head.grpc_port)}
    with_tls = {place for place in found - clients if wants_a_certificate(place)}

    assert len(with_tls) >= 8
    assert found - clients - with_tls == set()


LISTENING = """
import sys
from raylax.cluster.startup.sockets import open_sockets
print(*{one.port for one in open_sockets(map(int, sys.argv[1:])) if not one.address.is_loopback})
"""


def outward(command: Command, host: Host) -> set[tuple[str, int]]:
    """Where other machines can reach one of its processes."""
    pids = map(str, {command.command.pid, *command.pids()})
    asked = [*host.before, sys.executable, "-c", LISTENING, *pids]
    ports = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return {(host.address, int(port)) for port in ports.split()}


def wants_a_certificate(place: tuple[str, int]) -> bool:
    """By TLS: who shows none is told so, or cut off."""
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(place, 10.0) as plain:
        try:
            with stranger.wrap_socket(plain) as secured:
                return not secured.recv(1)
        except ssl.SSLError as error:
            return error.reason not in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
        except ConnectionError:
            return True


@pytest.mark.parametrize("mistake", ["another secret", "no secret", "nobody", "another host's"])
def test_who_may_not_join(hosts: Machines, mistake: str, tmp_path: Path) -> None:
    """One line each, and nothing is started."""
    secret, place, more = hosts.secret, hosts.first.address, list[str]()
    match mistake:
        case "another secret":
            secret, said = tmp_path / "other", "has another secret"
            secret.touch(0o600)
            secret.write_text("b" * 64)
        case "no secret":
            secret, said = tmp_path / "none", "cannot be read: No such file"
        case "nobody":
            place, said = f"{place}:1", "no cluster is at"
        case _:
            more, said = ["--address", "10.9.8.7"], "10.9.8.7 is no address of this machine"
    asked = hosts.asking(place, "--secret", str(secret), *more)
    asked.command.wait(PATIENCE_S)

    assert asked.command.returncode == 1
    assert said in asked.output.splitlines()[-1]
    assert asked.output.splitlines()[-1].startswith("error: ")
    assert not list(asked.temporary.iterdir())
