"""Serve's HTTP servers listen where only the run's user comes, and HAProxy looks for them there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.cluster.environment import RUN_DIRECTORY
from raylax.cluster.ports import free_ports
from tests.support.paths import ROOT

SERVES = """
import asyncio, os
from pathlib import Path
from raylax.cluster.ray_patches.private_replicas import hide_the_replicas, listener, socket_of
listener(socket_of(Path(os.environ["RAYLAX_RUN_DIRECTORY"]), PORT)).close()  # one that died
hide_the_replicas()
import httpx
from ray.serve._private import http_util
from ray.serve.config import HTTPOptions
from raylax.cluster.startup.sockets import listening

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(scope["client"]).encode()})

async def main():
    loop = asyncio.get_running_loop()
    options = HTTPOptions(host="127.0.0.1", port=PORT)
    task, server = await http_util.start_asgi_http_server(app, options, event_loop=loop)
    while not server.started:
        await asyncio.sleep(0.01)
    print(listening([os.getpid()]))
    for path in Path(os.environ["RAYLAX_RUN_DIRECTORY"]).glob("*.sock"):
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport) as client:
            print(path.name, (await client.get("http://router/")).text)
    try:
        await http_util.start_asgi_http_server(app, options, event_loop=loop)
    except RuntimeError as error:
        print(error)
    server.should_exit = True
    await task
    again, server = await http_util.start_asgi_http_server(app, options, event_loop=loop)
    server.should_exit = True
    await again

if LOOP:
    import uvloop
    uvloop.install()
asyncio.run(main())
"""


def said(code: str, directory: Path) -> list[str]:
    """What a process of a run in this directory prints."""
    env = {**os.environ, RUN_DIRECTORY: str(directory), "RAY_SERVE_ENABLE_HA_PROXY": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=env, capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("loop", ["", "uvloop"])
def test_a_replica_listens_in_the_runs_directory_alone(
    loop: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Where a dead one was before. Its port is taken, so that there are no two of a number, and
    free when it ends."""
    (port,) = free_ports(1)
    code = SERVES.replace("PORT", str(port)).replace("LOOP", repr(loop))

    assert said(code, tmp_path_factory.mktemp("r")) == [
        "set()",
        f"http-{port}.sock None",
        f"Failed to bind to address '127.0.0.1:{port}'.",
    ]


LOOKS = """
import os
from pathlib import Path
from ray.serve._private import haproxy_templates as templates
from raylax.cluster.ray_patches.private_replicas import SERVERS, address_of, hide_the_replicas
before = templates.HAPROXY_CONFIG_TEMPLATE
print(*[before.count(address_of(server) + rest) for server, rest in SERVERS.items()])
hide_the_replicas()
pairs = zip(before.splitlines(), templates.HAPROXY_CONFIG_TEMPLATE.splitlines(), strict=True)
print(*[new.strip() for old, new in pairs if old != new], sep="\\n")
"""


def test_haproxy_looks_for_http_there(tmp_path: Path) -> None:
    """Both kinds of servers are in Serve's template, and what else it says of them stays."""
    there, replica, fallback = said(LOOKS, tmp_path)

    assert there == "1 1"
    assert replica.startswith(
        f"server {{{{ server.name }}}} unix@{tmp_path}/http-{{{{ server.port }}}}.sock check{{%"
    )
    assert fallback == (
        f"server {{{{ backend.fallback_server.name }}}} unix@{tmp_path}/"
        "http-{{ backend.fallback_server.port }}.sock check backup"
    )
