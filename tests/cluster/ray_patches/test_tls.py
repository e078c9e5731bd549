"""HTTPS at the front door, and who must show a certificate: a real HAProxy, by Serve's own code.

In a process of its own, for Ray is changed there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import trustme

from raylax.cluster.environment import FOR_RAY, RUN_DIRECTORY
from raylax.cluster.ports import free_ports
from tests.support.paths import ROOT

SET = {"RAY_SERVE_ENABLE_HA_PROXY": FOR_RAY["RAY_SERVE_ENABLE_HA_PROXY"]}
STORY = """
import asyncio, json, os, ssl, sys
from pathlib import Path
from tests.support.mortal import end_all_with_parent
end_all_with_parent()
from raylax.cluster.ray_patches.admin_socket import close_the_admin_socket
from raylax.cluster.ray_patches.front_door import keep_the_front_door_open
from raylax.cluster.ray_patches.tls import bring_certificates, show_certificate
from raylax.cluster.config.schema import ClusterConfig
directory, files, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
config = ClusterConfig(tls_cert=files / "cert.pem", tls_key=files / "key.pem",
                       tls_client_ca=files / "clients.pem")
bring_certificates(config, directory)
show_certificate()
close_the_admin_socket()
keep_the_front_door_open()
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions
from raylax.cluster.address import ask
from raylax.cluster.environment import entrance_of
from raylax.cluster.errors import UserError
from raylax.cluster.supervision import front_door

url, told = f"https://127.0.0.1:{port}", {}

async def router(reader, writer):
    while await reader.readline():
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 15\\r\\n"
                     b"Content-Type: application/json\\r\\n\\r\\n" + b'{"workers": []}')

def asked(shown=None):
    os.environ.pop("RAYLAX_CLIENT_CERT", None)
    if shown is not None:
        os.environ["RAYLAX_CLIENT_CERT"] = str(files / shown)
    try:
        return ask(url, "GET", "/cluster")
    except UserError as error:
        return str(error).removeprefix(url)

async def opened(newest=ssl.TLSVersion.TLSv1_3):
    trusting = ssl.create_default_context(cafile=files / "authority.pem")
    trusting.maximum_version = newest
    trusting.load_cert_chain(files / "alice.pem")
    return await asyncio.open_connection("127.0.0.1", port, ssl=trusting)

async def answered(connection):
    reader, writer = connection
    writer.write(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    return (await reader.readuntil(b"}")).split(b" ")[1].decode()

def shown_by(connection):
    return connection[1].get_extra_info("peercert")["serialNumber"]

async def main():
    server = await asyncio.start_server(router, "127.0.0.1", 0)
    at = server.sockets[0].getsockname()[1]
    haproxy = HAProxyApi(HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=port), is_head=True,
        socket_path=str(directory / "admin.sock"), server_state_base=str(directory),
        server_state_file=str(directory / "state"), metrics_enabled=False,
    ), {"app": BackendConfig("app", "/", servers=[ServerConfig("one", "127.0.0.1", at)],
                             app_name="app")}, str(directory / "haproxy.cfg"))
    await haproxy.start()
    async with asyncio.timeout(40):
        while await asyncio.to_thread(front_door.ask, entrance_of(directory)) != "serves":
            await asyncio.sleep(0.05)
    told["supervision"] = "serves"
    for shown in (None, "stranger.pem", "alice.pem"):
        told[str(shown)] = await asyncio.to_thread(asked, shown)
    told["TLS 1.2"] = await answered(await opened(ssl.TLSVersion.TLSv1_2))
    before = await opened()
    told["before"] = await answered(before)
    for name in ("cert.pem", "key.pem"):
        (files / name).write_bytes((files / f"next-{name}").read_bytes())
    bring_certificates(config, directory)
    async with asyncio.timeout(40):
        while True:
            after = await opened()
            if shown_by(after) != shown_by(before):
                break
            after[1].close()
            await asyncio.sleep(0.05)
    told["after"] = [await answered(before), await answered(after)]
    await haproxy.stop()
    os._exit(print(json.dumps(told), flush=True) or 0)

asyncio.run(main())
"""
REFUSED = (
    " wants a certificate of who asks, signed by whom it trusts: RAYLAX_CLIENT_CERT names its file,"
    " and RAYLAX_CLIENT_KEY its key's"
)


def make_certificates(files: Path) -> None:
    """Of a server, of another one of the same name, of a client, and of one that nobody knows."""
    ours, clients, others = trustme.CA(), trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(files / "authority.pem")
    clients.cert_pem.write_to_path(files / "clients.pem")
    for prefix in ("", "next-"):
        issued = ours.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(files / f"{prefix}cert.pem")
        issued.private_key_pem.write_to_path(files / f"{prefix}key.pem")
    for name, authority in (("alice", clients), ("stranger", others)):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(
            files / f"{name}.pem"
        )


def test_clients_show_a_certificate_and_ours_is_exchanged_under_them(tmp_path: Path) -> None:
    """Who has none, or a stranger's, is told what is missing by `raylax`' own client; supervision
    needs none; and who is connected stays while the next one is shown to others."""
    directory, files = tmp_path / "run", tmp_path / "files"
    directory.mkdir(mode=0o700)
    files.mkdir()
    make_certificates(files)
    (port,) = free_ports(1)
    trusting = {"SSL_CERT_FILE": str(files / "authority.pem")}
    env = {**os.environ, **SET, **trusting, RUN_DIRECTORY: str(directory)}
    run = [sys.executable, "-W", "ignore", "-c", STORY, str(directory), str(files), str(port)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, env=env, timeout=100)
    assert done.returncode == 0, done.stderr

    assert json.loads(done.stdout.splitlines()[-1]) == {
        "supervision": "serves",
        "None": REFUSED,
        "stranger.pem": REFUSED,
        "alice.pem": {"workers": []},
        "TLS 1.2": "200",
        "before": "200",
        "after": ["200", "200"],
    }
    assert all(one.stat().st_mode & 0o77 == 0 for one in directory.glob("*.pem"))
