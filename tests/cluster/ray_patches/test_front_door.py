"""HAProxy and what looks after it: a real HAProxy, by Serve's own code with our changes in it.

In a process of its own, for Ray is changed there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from raylax.cluster.environment import FOR_RAY, RUN_DIRECTORY
from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import running
from tests.support.cluster_serving import until
from tests.support.paths import ROOT

LOG = "RAY_SERVE_HAPROXY_LOG_TARGET"
SET = {
    name: FOR_RAY[name] for name in ("RAY_SERVE_ENABLE_HA_PROXY", "SERVE_SOCKET_REUSE_PORT_ENABLED")
}
STORY = """
import asyncio, http.client, json, os, signal, sys
from tests.support.mortal import end_all_with_parent
end_all_with_parent()
from ray.serve._private import constants
from raylax.cluster.ray_patches.admin_socket import close_the_admin_socket
from raylax.cluster.ray_patches.front_door import keep_the_front_door_open
from raylax.cluster.ray_patches.private_replicas import hide_the_replicas, socket_of
close_the_admin_socket()
hide_the_replicas()
keep_the_front_door_open()
from pathlib import Path
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions
from raylax.cluster.environment import entrance_of
from raylax.cluster.ray_patches.front_door import processes_with
from raylax.cluster.ports import held
from raylax.cluster.startup.sockets import listening
from raylax.cluster.supervision.front_door import ask

directory, port = Path(sys.argv[1]), int(sys.argv[2])
told = {}
COMMANDS = ("show stat", "show info", "show servers state", "set server app/one addr 10.0.0.1",
            "show sess", "disable frontend http_frontend")

async def router(reader, writer):
    while await reader.readline():
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 15\\r\\n\\r\\n" + b'{"workers": []}')

def manager(backend):
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=port), is_head=True,
        socket_path=str(directory / "admin.sock"), server_state_base=str(directory),
        server_state_file=str(directory / "state"), metrics_enabled=False,
    )
    return HAProxyApi(config, {"app": backend}, str(directory / "haproxy.cfg"))

async def until(condition):
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)

def haproxies():
    return processes_with(str(directory / "haproxy.cfg"))

def serves():
    return ask(entrance_of(directory)) == "serves"

def refused():
    # what a client is told while there is no router
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/v1/models")
    reply = connection.getresponse()
    error = json.loads(reply.read()).get("error", {})
    return reply.status, reply.getheader("Retry-After"), error.get("code")

async def main():
    at = 30000
    ours = held("127.0.0.1", (port,))
    ours.__enter__()  # as whoever starts it all does
    server = await asyncio.start_unix_server(router, socket_of(directory, at))
    backend = BackendConfig("app", "/", servers=[ServerConfig("one", "127.0.0.1", at)],
                            app_name="app")
    first = manager(backend)
    await first.start()
    await until(serves)
    told["modes"] = [oct(os.stat(path).st_mode & 0o777)
                     for path in (entrance_of(directory), first.cfg.socket_path)]
    (pid,) = haproxies()
    told["listens"] = [found == port for _, found in listening([pid])]
    for command in COMMANDS:
        said = await first._send_socket_command(command)
        told[command] = "Permission denied" in said
    os.kill(pid, signal.SIGKILL)
    await until(lambda: haproxies() not in ([], [pid]) and serves())
    told["well while it starts"] = await first.is_running()
    (second,) = haproxies()
    await first.reload()
    await until(lambda: second not in haproxies() and serves())
    (third,) = haproxies()
    for watch in first.raylax_keeper._watches:
        watch.cancel()  # its process was killed, and HAProxy serves on
    new = manager(backend)
    new.backend_configs = {}
    starting = asyncio.create_task(new.start())
    await asyncio.sleep(0.3)
    told["the old one serves until routers are known"] = await asyncio.to_thread(serves)
    new.set_backend_configs({"app": backend})
    await starting
    await until(lambda: third not in haproxies() and serves())
    server.close()
    await server.wait_closed()
    await until(lambda: refused()[0] == 503)
    told["no router answers"] = await asyncio.to_thread(refused)
    new.backend_configs = {}
    await new.reload()
    told["no router is known"] = await asyncio.to_thread(refused)
    told["one is left"] = len(haproxies())
    await new.stop()
    await until(lambda: not haproxies())
    await asyncio.sleep(0.6)
    told["none after the end"] = haproxies() == []
    print(json.dumps(told))

asyncio.run(main())
"""


def test_haproxy_is_started_again_taken_over_and_let_go(tmp_path_factory: Any) -> None:
    """Killed, it is back; a new manager takes over from it; told to stop, it stays away. Meanwhile
    its sockets are ours alone, Serve asks there for all that it wants, and nobody commands."""
    directory = Path(tmp_path_factory.mktemp("h"))
    (port,) = free_ports(1)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STORY, str(directory), str(port)],
        env={
            **os.environ,
            RUN_DIRECTORY: str(directory),
            LOG: str(directory / "log.sock"),
            **SET,
        },
        capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    assert json.loads(done.stdout.splitlines()[-1]) == {
        "modes": ["0o600", "0o600"],
        "listens": [True],
        "show stat": False,
        "show info": False,
        "show servers state": False,
        "set server app/one addr 10.0.0.1": True,
        "show sess": True,
        "disable frontend http_frontend": True,
        "well while it starts": True,
        "the old one serves until routers are known": True,
        "no router answers": [503, "1", "service_unavailable"],
        "no router is known": [503, "1", "service_unavailable"],
        "one is left": 1,
        "none after the end": True,
    }


HALF_WAY = """
import asyncio, sys
from tests.support.mortal import end_all_with_parent
end_all_with_parent()
from raylax.cluster.ray_patches.front_door import HAPROXYS_FIRST, in_its_own_session

async def main():
    execute = in_its_own_session(asyncio.create_subprocess_exec)
    begun = await execute(sys.executable, *HAPROXYS_FIRST, "-c", "import time; time.sleep(600)")
    print(begun.pid, flush=True)
    await begun.wait()

asyncio.run(main())
"""


def test_nothing_is_left_of_a_story_that_is_killed_half_way() -> None:
    """Though HAProxy, whose arguments begin as these, has a session of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", HALF_WAY], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as story:
        assert story.stdout is not None
        pid = int(story.stdout.readline())
        assert running([pid]) == [pid]
        story.kill()

    until(lambda: not running([pid]), 10)
