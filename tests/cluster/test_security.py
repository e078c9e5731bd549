"""Keys and TLS through everything that stands before a router: HAProxy, Serve, gRPC."""

import os
import re
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
import trustme

from raylax.cluster.startup.sockets import open_sockets
from raylax.cluster.supervision.processes import arguments_of
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.router.access.keys import hash_of
from tests.support.cluster_serving import (
    RAYLAX,
    READY,
    Serving,
    serving,
    until,
)

pytestmark = pytest.mark.cluster
SECRET = "a secret"
NOBODY = 65534
HEADERS = {"Authorization": f"Bearer {SECRET}", "X-Request-Id": "mine"}
CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, its authority, that of clients, and a file with one key."""
    directory = tmp_path_factory.mktemp("security")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(directory / "authority.pem")
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    next_one = authority.issue_cert("127.0.0.1", "localhost")
    next_one.cert_chain_pems[0].write_to_path(directory / "next-cert.pem")
    next_one.private_key_pem.write_to_path(directory / "next-key.pem")
    clients = trustme.CA()
    clients.cert_pem.write_to_path(directory / "clients.pem")
    clients.issue_cert("alice").private_key_and_cert_chain_pem.write_to_path(
        directory / "alice.pem"
    )
    (directory / "keys.yaml").write_text(
        f"keys: [{{name: alice, admin: true, sha256: '{hash_of(SECRET)}'}}]"
    )
    return directory


@pytest.fixture(scope="module")
def served(checkpoint: Path, files: Path) -> Iterator[Serving]:
    names = {
        "--tls-cert": "cert.pem", "--tls-key": "key.pem", "--tls-client-ca": "clients.pem",
        "--api-keys-file": "keys.yaml",
    }  # fmt: skip
    flags = [part for flag, name in names.items() for part in (flag, str(files / name))]
    with serving(str(checkpoint), "--host", "0.0.0.0", *flags) as made:
        made.wait_until_it_says(READY)
        made.temporary.chmod(0o1777)  # as /tmp is: what a run protects must be its own
        yield made


@pytest.fixture
def client(served: Serving, files: Path) -> Iterator[httpx.Client]:
    """It trusts the authority, and nobody else, and shows a certificate."""
    trusting = ssl.create_default_context(cafile=str(files / "authority.pem"))
    trusting.load_cert_chain(files / "alice.pem")
    url = f"https://127.0.0.1:{served.port}"
    with httpx.Client(base_url=url, verify=trusting, timeout=20) as made:
        yield made


def test_who_has_the_key_is_answered(client: httpx.Client) -> None:
    """With one request id, though Serve has an opinion of its own about them."""
    reply = client.post(CHAT, json=ASK, headers=HEADERS)
    stranger = client.post(CHAT, json=ASK)

    assert (reply.status_code, stranger.status_code) == (200, 401)
    assert reply.headers.get_list("x-request-id") == ["mine"]
    assert stranger.headers["x-request-id"].startswith("req-")
    assert client.get("/health").status_code == 200


def test_nothing_is_said_without_encryption(served: Serving) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{served.port}/health", timeout=20)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(served: Serving) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://127.0.0.1:{served.port}/health", verify=old, timeout=20)


def test_nobody_gets_in_without_a_certificate(served: Serving, files: Path) -> None:
    """Not to `/health`, either; nor by gRPC."""
    authority = files / "authority.pem"
    trusting = ssl.create_default_context(cafile=str(authority))
    with pytest.raises(httpx.TransportError, match="CERTIFICATE_REQUIRED"):
        httpx.get(f"https://127.0.0.1:{served.port}/health", verify=trusting, timeout=20)
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    with grpc.secure_channel(f"localhost:{served.grpc_port}", credentials) as channel:
        stub = raylax_pb2_grpc.RaylaxStub(channel)
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            stub.ListModels(raylax_pb2.ListModelsRequest(), timeout=20)


def test_grpc_has_the_same_certificate_and_keys(served: Serving, files: Path) -> None:
    alice = (files / "alice.pem").read_bytes()
    trusting = grpc.ssl_channel_credentials((files / "authority.pem").read_bytes(), alice, alice)
    request = raylax_pb2.ListModelsRequest()
    with grpc.secure_channel(f"localhost:{served.grpc_port}", trusting) as channel:
        stub = raylax_pb2_grpc.RaylaxStub(channel)
        models = stub.ListModels(request, metadata=(("x-api-key", SECRET),), timeout=20)
        with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
            stub.ListModels(request, timeout=20)

    assert len(models.models) == 1


def test_other_machines_reach_the_two_ports_for_clients_alone(served: Serving) -> None:
    """Though it serves every address: keys in clear text have nowhere to go."""
    everybody = {served.command.pid, *served.pids()}
    outside = {one for one in open_sockets(everybody) if not one.address.is_loopback}

    assert {(one.protocol, one.port) for one in outside} == {
        ("tcp", served.port),
        ("tcp", served.grpc_port),
    }


def test_the_command_shows_the_key_it_is_given(served: Serving, files: Path) -> None:
    """By the environment, for what stands on a command line is seen by everybody."""
    run = [RAYLAX, "status", f"https://127.0.0.1:{served.port}"]
    trusting = {
        **os.environ,
        "SSL_CERT_FILE": str(files / "authority.pem"),
        "RAYLAX_CLIENT_CERT": str(files / "alice.pem"),
    }
    without = subprocess.run(run, env=trusting, capture_output=True, text=True)
    shown = {**trusting, "RAYLAX_API_KEY": SECRET}
    having = subprocess.run(run, env=shown, capture_output=True, text=True)

    assert "wants an API key: put one that it knows into RAYLAX_API_KEY" in without.stderr
    assert "ready" in having.stdout, having.stderr


def test_the_key_of_the_certificate_stays_private(served: Serving) -> None:
    """The copy that HAProxy reads is ours alone, and neither key is in a log."""
    copies = [served.run_directory / name for name in ("tls.pem", "ray-key.pem")]
    logs = [one for one in served.run_directory.rglob("*") if one.is_file() and one not in copies]
    secrets = (SECRET.encode(), b"PRIVATE KEY")

    assert [stat.S_IMODE(copy.stat().st_mode) for copy in copies] == [0o600, 0o600]
    assert len(logs) > 10
    assert [path for path in logs if any(one in path.read_bytes() for one in secrets)] == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_another_user_reaches_nothing_of_a_run(served: Serving) -> None:
    """Neither a file nor a socket; nor can he put another one in place of any."""
    run = served.run_directory
    paths = [path for path in run.rglob("*") if not path.is_symlink()]
    look = 'for path; do [ -r "$path" ] || [ -w "$path" ] && echo "$path"; done; mv "$0" "$0-gone"'
    found = subprocess.run(
        ["/bin/sh", "-c", look, run, run, *paths],
        user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, cwd="/",
    )  # fmt: skip

    assert len([path for path in paths if path.is_socket()]) >= 4
    assert len([path for path in paths if path.is_file()]) > 10
    assert found.stdout == ""
    assert found.returncode != 0 and run.exists()


def test_no_process_leaves_a_core_file(served: Serving) -> None:
    """Prompts would be in it."""
    limits = {pid: Path(f"/proc/{pid}/limits").read_text() for pid in served.pids()}
    found = {
        pid: re.search(r"Max core file size +(\d+|unlimited)", text) for pid, text in limits.items()
    }

    assert len(found) > 5
    assert {one[1] for one in found.values() if one} == {"0"}


def routers_of(served: Serving) -> set[int]:
    """Other processes come and go meanwhile, as those that make prompts."""
    return {pid for pid in served.pids() if "Router" in "".join(arguments_of(pid))}


def test_a_key_is_exchanged_while_it_serves(
    served: Serving, files: Path, client: httpx.Client
) -> None:
    """Within seconds, by the signal that applies changes; no router is replaced, and a stream that
    runs goes on. A file without keys opens nothing."""
    file, call = files / "keys.yaml", {**ASK, "max_tokens": 2000, "ignore_eos": True}
    before, routers = file.read_text(), routers_of(served)
    assert f"kill -USR1 {served.command.pid} applies changes of {file}" in served.output
    try:
        with client.stream("POST", CHAT, json={**call, "stream": True}, headers=HEADERS) as stream:
            lines = stream.iter_lines()
            next(lines)
            file.write_text(before.replace(hash_of(SECRET), hash_of("the next one")))
            served.command.send_signal(signal.SIGUSR1)
            until(lambda: client.get("/v1/models", headers=HEADERS).status_code == 401, 15)
            rest = list(lines)
        headers = {"Authorization": "Bearer the next one"}
        assert client.get("/v1/models", headers=headers).status_code == 200
        assert (stream.status_code, "[DONE]" in rest[-1] + rest[-2]) == (200, True)
        assert routers_of(served) == routers

        file.write_text("keys: []")
        served.command.send_signal(signal.SIGUSR1)
        served.wait_until_it_says("there are none any more")
        assert client.get("/v1/models").status_code == 401
    finally:
        file.write_text(before)
        served.command.send_signal(signal.SIGUSR1)
        until(lambda: client.get("/v1/models", headers=HEADERS).status_code == 200, 15)


def serial_at(port: int, files: Path) -> str:
    """Of the certificate that is shown to who connects now."""
    trusting = ssl.create_default_context(cafile=str(files / "authority.pem"))
    trusting.load_cert_chain(files / "alice.pem")
    trusting.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 20) as raw,
        trusting.wrap_socket(raw, server_hostname="localhost") as made,
    ):
        return str(dict(made.getpeercert() or {})["serialNumber"])


def test_a_certificate_is_exchanged_while_it_serves(
    served: Serving, files: Path, client: httpx.Client
) -> None:
    """At both ports; a key that is not its own is refused, and nothing changes."""
    ports = (served.port, served.grpc_port)
    before = [serial_at(port, files) for port in ports]
    (files / "cert.pem").write_bytes((files / "next-cert.pem").read_bytes())
    served.command.send_signal(signal.SIGUSR1)
    served.wait_until_it_says("MISMATCH")
    unchanged = [serial_at(port, files) for port in ports]
    (files / "key.pem").write_bytes((files / "next-key.pem").read_bytes())
    served.command.send_signal(signal.SIGUSR1)
    until(lambda: not {serial_at(port, files) for port in ports} & set(before), 20)

    assert unchanged == before
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("path", ["/-/routes", "/-/healthz", "/-/%68ealthz", "/stats"])
def test_serve_answers_nothing_by_itself(client: httpx.Client, path: str) -> None:
    """What it knows of itself is no page of anybody's, and asks for a key like any other."""
    stranger, known = client.get(path), client.get(path, headers=HEADERS)

    assert (stranger.status_code, known.status_code) == (401, 404)
    assert known.json()["error"]["type"] == "invalid_request_error"
