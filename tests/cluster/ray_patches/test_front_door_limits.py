"""What a client may hold at the front door: a real HAProxy, by Serve's own code with our limits.

In a process of its own, for Ray is changed there, and it may open few files.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
import ray

from raylax.cluster.environment import RUN_DIRECTORY
from raylax.cluster.ports import free_ports
from raylax.cluster.ray_patches.front_door import FRONTEND
from raylax.cluster.ray_patches.front_door_limits import MOST, limited, room_for
from tests.support.paths import ROOT

STORY = """
import asyncio, json, resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
from pathlib import Path
from tests.support.mortal import end_all_with_parent
end_all_with_parent()
from raylax.cluster.ray_patches import front_door_limits
from raylax.cluster.ray_patches.admin_socket import close_the_admin_socket
from raylax.cluster.ray_patches.front_door import keep_the_front_door_open
front_door_limits.HEAD_S, front_door_limits.IDLE_S, front_door_limits.UNREAD_S = 5, 1, 1
close_the_admin_socket()
front_door_limits.limit_the_front_door()
keep_the_front_door_open()
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions
from raylax.cluster.environment import entrance_of
from raylax.cluster.supervision.front_door import ask

directory, port = Path(sys.argv[1]), int(sys.argv[2])
OF_THIS_MACHINE = front_door_limits.room_for(1000).of_this_machine
HEAD = b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n"
told = {"room": OF_THIS_MACHINE}

def not_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        try:
            made.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return made.getsockname()[0]

async def router(reader, writer):
    while line := await reader.readline():
        while (await reader.readline()).strip():
            pass
        if b"/stream" in line:
            await asyncio.sleep(2)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\n{")
            for _ in range(2):
                await asyncio.sleep(2)
                writer.write(b"..")
            writer.write(b"}")
        else:
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 15\\r\\n\\r\\n")
            writer.write(b'{"workers": []}')

async def connect(source="127.0.0.1"):
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))

async def said(source="127.0.0.1", path=b"/health"):
    try:
        reader, writer = await connect(source)
        writer.write(HEAD.replace(b"/health", path) + b"Connection: close\\r\\n\\r\\n")
        status = (await reader.read()).split(b" ")[1].decode()
        writer.close()
        return status
    except (OSError, IndexError):
        return "refused"

async def closed_after_s(first):
    reader, writer = await connect()
    writer.write(first)
    if first.endswith(b"\\r\\n\\r\\n"):
        await reader.readuntil(b"}")
    begun = time.monotonic()
    await reader.read()
    writer.close()
    return time.monotonic() - begun

def leave(connections):
    for one in connections:
        if isinstance(one, tuple):
            one[1].close()

async def main():
    server = await asyncio.start_server(router, "127.0.0.1", 0)
    at = server.sockets[0].getsockname()[1]
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=port), is_head=True,
        socket_path=str(directory / "admin.sock"), server_state_base=str(directory),
        server_state_file=str(directory / "state"), metrics_enabled=False,
    )
    one = ServerConfig("one", "127.0.0.1", at)
    haproxy = HAProxyApi(config, {"app": BackendConfig("app", "/", servers=[one], app_name="app")},
                         str(directory / "haproxy.cfg"))
    await haproxy.start()
    async with asyncio.timeout(40):
        while await said() != "200":
            await asyncio.sleep(0.05)
    ends = [closed_after_s(first) for first in (b"", HEAD, HEAD + b"\\r\\n")]
    *waited, streamed = await asyncio.gather(*ends, said(path=b"/stream"))
    told["closed in time"] = all(0.5 < after < 30 for after in waited)
    told["an answer of 6 s"] = streamed
    for _ in range(5):  # a busy machine may be so slow that the first are let go before we ask
        many = (connect(f"127.0.0.{1 + at % 2}") for at in range(OF_THIS_MACHINE + 3))
        silent = await asyncio.gather(*many, return_exceptions=True)
        told["beside many"] = [await said(), await said("127.0.0.2")]
        if "200" not in told["beside many"]:
            break
        leave(silent)
    elsewhere = not_loopback()  # a machine may have nothing else
    told["who is elsewhere"] = "200" if elsewhere is None else await said(elsewhere)
    told["who supervises"] = await asyncio.to_thread(ask, entrance_of(directory))
    async with asyncio.timeout(40):
        while await said() != "200":
            await asyncio.sleep(0.05)
    told["soon after"] = "200"
    leave(silent)
    await haproxy.stop()
    server.close()
    print(json.dumps(told))

asyncio.run(main())
"""


def test_who_is_silent_is_let_go_and_shuts_out_nobody_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Heads and next requests must come in time, answers need not; this machine, with all of its
    addresses, cannot take everything."""
    directory = Path(tmp_path_factory.mktemp("h"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STORY, str(directory), *map(str, free_ports(1))],
        env={**os.environ, RUN_DIRECTORY: str(directory)},
        capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    assert json.loads(done.stdout.splitlines()[-1]) == {
        "room": 98,
        "closed in time": True,
        "an answer of 6 s": "200",
        "beside many": ["refused", "refused"],
        "who is elsewhere": "200",
        "who supervises": "serves",
        "soon after": "200",
    }


@pytest.mark.parametrize(
    ("open_files", "clients"),
    [
        (64, 16),
        (1024, 140),
        (20_000, 7731),
        (1 << 20, MOST),
        (resource.RLIM_INFINITY, MOST),
    ],
)
def test_there_is_room_for_as_many_as_files_can_be_opened(open_files: int, clients: int) -> None:
    """Far more than one address may have, and most of them for this machine's own."""
    room = room_for(open_files)

    assert room.clients == clients
    assert room.of_this_machine < clients
    assert 1 <= room.when_crowded <= room.of_an_address <= clients // 8
    assert room.of_an_address + room.of_this_machine <= clients


def test_the_limits_stand_where_serve_has_its_own() -> None:
    """Both texts that they are put at are in Serve's template."""
    file = Path(ray.__file__).parent / "serve/_private/haproxy_templates.py"
    template = limited(run_path(str(file))["HAPROXY_CONFIG_TEMPLATE"], room_for(20_000))
    _, frontend = template.split("frontend http_frontend\n")

    assert "config.maxconn" not in template
    assert "    maxconn 7795\n" in template
    assert frontend.splitlines()[:4] == [
        "    maxconn 7731",
        "    timeout client 60s",
        "    timeout http-request 10s",
        "    timeout http-keep-alive 10s",
    ]
    assert "is_of_this_machine { sc0_conn_cur gt 5798 }" in frontend
    assert "!is_of_this_machine { sc0_conn_cur gt 966 }" in frontend


def test_haproxy_looks_up_no_name() -> None:
    """By -n: it would first take an address of IPv6 for a host's name."""
    acls = [line for line in limited(FRONTEND, room_for(4096)).splitlines() if " acl " in line]

    assert acls != []
    assert [line for line in acls if " src " in line and " src -n " not in line] == []
