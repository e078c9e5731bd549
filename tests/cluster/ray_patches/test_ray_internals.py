"""Where we reach into Ray: its names are still there, and do what we think."""

import subprocess
import sys
from pathlib import Path

import pytest
import ray

from raylax.cluster.environment import FOR_RAY, HAPROXY_FILES, INNER_PORTS, WORKER_SETUP
from raylax.cluster.ray_patches.loopback import kept_to
from raylax.cluster.ray_patches.patience import patient
from tests.support.paths import ROOT


def say(code: str) -> list[str]:
    """What a fresh process prints: Ray is patched there, not in the tests' own."""
    run = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        ("[::]:0", "127.0.0.1:0"),
        ("0.0.0.0:4000", "127.0.0.1:4000"),
        ("127.0.0.1:4000", "127.0.0.1:4000"),
        ("10.0.0.1:4000", "10.0.0.1:4000"),
    ],
)
def test_every_address_becomes_this_machines_own(address: str, bound: str) -> None:
    assert kept_to("127.0.0.1", address) == bound


def test_serves_grpc_servers_bind_to_loopback() -> None:
    """Through the function that binds them all."""
    code = """
import grpc, os
from concurrent.futures import ThreadPoolExecutor
from raylax.cluster.ray_patches.loopback import keep_to
keep_to("127.0.0.1")
from ray._common import tls_utils
server = grpc.server(ThreadPoolExecutor(1))
tls_utils.add_port_to_grpc_server(server, "[::]:0")
server.start()
from raylax.cluster.startup.sockets import listening
print(*{str(address) for address, _ in listening([os.getpid()])})
server.stop(0)
"""
    assert say(code) == ["127.0.0.1"]


def test_serve_reads_every_header_and_obeys_none() -> None:
    """By its own functions, which take all values for UTF-8."""
    code = r"""
import asyncio
from ray.serve._private import http_util
from raylax.cluster.ray_patches.worker_setup import let_the_router_name_requests
let_the_router_name_requests()

async def read(scope, receive, send):
    headers = dict(scope["headers"])
    print(headers[b"x-request-id"].decode()[:4], http_util.parse_session_id_header(headers),
          http_util.parse_request_timeout_header(headers, 7.0),
          http_util.parse_disconnect_disabled_header(headers),
          *[key for key in headers if b"model" in key])

for value in (b"\xe9", b"plain", "\u00e9".encode(), b"\xff\xfe", b"1"):
    names = [b"x-request-id", b"x-session-id", b"x-request-timeout-seconds",
             b"x-request-disconnect-disabled", b"serve_multiplexed_model_id",
             b"serve-multiplexed-model-id"]
    scope = {"type": "http", "headers": [(name, value) for name in names]}
    asyncio.run(http_util.RequestIdMiddleware(read)(scope, None, None))
asyncio.run(http_util.RequestIdMiddleware(read)({"type": "http", "headers": []}, None, None))
"""
    letters = ["\u00e9", "plain", "\u00e9", "\u00ff\u00fe", "1"]

    assert say(code) == [*[f"{one[:4]} {one} 7.0 False" for one in letters], "req-  7.0 False"]


@pytest.mark.parametrize("host", ["0.0.0.0", "[::1]"])
def test_replicas_are_asked_through_haproxy_alone(host: str) -> None:
    """It has the address that was asked for; they have this machine's own, where it finds them."""
    code = f"""
import asyncio, os
from raylax.cluster.ray_patches.loopback import keep_to
keep_to("127.0.0.1")
from ray.serve._private import replica
from ray.serve.config import HTTPOptions
from raylax.cluster.startup.sockets import listening

async def main():
    options = HTTPOptions(host={host!r}, port=0)
    loop = asyncio.get_running_loop()
    task, server = await replica.start_asgi_http_server(print, options, event_loop=loop)
    while not server.started:
        await asyncio.sleep(0.01)
    print(*{{str(address) for address, _ in listening([os.getpid()])}})
    server.should_exit = True
    await task

asyncio.run(main())
"""
    assert say(code) == ["127.0.0.1"]


def test_ray_starts_nothing_that_we_do_not_use() -> None:
    """Its agents' commands are built by a function that we change, and the agents say their ports
    by these names."""
    code = """
from inspect import getsource
from ray import _raylet
from ray._private import node, parameter, ray_constants, services
from raylax.cluster.ray_patches import fewer_processes, idle_agent
built = "*_build_python_executable_command_memory_profileable("
source = " ".join(getsource(services.start_raylet).split())
types = "PROCESS_TYPE_DASHBOARD_AGENT", "PROCESS_TYPE_RUNTIME_ENV_AGENT"
print(*[f"{built} ray_constants.{type}, " in source for type in types],
      [*fewer_processes.AGENTS] == [getattr(ray_constants, type) for type in types],
      [f'"{argument}=' in source for argument in idle_agent.PORTS].count(True),
      [*idle_agent.PORTS.values()] == [
          _raylet.METRICS_AGENT_PORT_NAME, _raylet.METRICS_EXPORT_PORT_NAME,
          _raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME, _raylet.RUNTIME_ENV_AGENT_PORT_NAME])
print("start_api_server" in vars(node.Node))
from raylax.cluster.ray_patches.fewer_processes import start_fewer_processes
start_fewer_processes()
made, other = parameter.RayParams(num_cpus=1), parameter.RayParams(num_cpus=1)
print(made.no_monitor, made.include_log_monitor, node.Node.start_api_server(None, x=1))
print(1024 < made.runtime_env_agent_port != other.runtime_env_agent_port > 1024)
"""
    assert say(code) == ["True True True 4 True", "True", "True False None", "True"]


def test_a_raylet_runs_our_program_before_a_workers_own() -> None:
    """A parameter of Ray's node is the path of it. A raylet leaves out what has the name of Ray's
    own where a worker has no environment of its own; what it says to a worker has these names."""
    code = """
from inspect import getsource
from pathlib import Path
import ray
from ray._private import parameter, ray_constants, services
from raylax.cluster.environment import WORKER_SETUP
from raylax.cluster.ray_patches.fewer_processes import start_fewer_processes
from raylax.cluster.zygote import asking, server, starting
start_fewer_processes()
print(parameter.RayParams(num_cpus=1).setup_worker_path == asking.__file__,
      "sys.executable, setup_worker_path, ]" in " ".join(getsource(services.start_raylet).split()))
home = Path(ray.__file__).parent
raylet = (home / "core/src/ray/raylet/raylet").read_bytes()
print(asking.RAYS_OWN == ray_constants.SETUP_WORKER_FILENAME, asking.RAYS_OWN.encode() in raylet,
      asking.RAYS_OWN not in Path(asking.__file__).name,
      asking.OWN_ENVIRONMENT.encode() in raylet,
      (home / "_private/workers" / asking.RAYS_OWN).is_file())
said = starting.AS_A_RAYLET_SAYS
print(asking.LANGUAGE.encode() in raylet, server.ANY.encode() in raylet,
      all(name.encode() in raylet + (home / "_private/client_mode_hook.py").read_bytes()
          for name in said),
      said["RAY_JOB_ID"] == ray.JobID.from_int(1).hex(),
      WORKER_SETUP == ray_constants.WORKER_PROCESS_SETUP_HOOK_ENV_VAR)
print(getsource(ray.actor).count("ActorClassID."), "    ActorClassID.from_random()," in
      getsource(ray.actor))
"""
    assert say(code) == ["True True", *["True True True True True"] * 2, "1 True"]


def test_serve_begins_sooner_by_its_own_names() -> None:
    """What we put something else in place of is what Serve calls, and the controller's interval is
    read each time."""
    code = """
from inspect import getsource, signature
from ray.serve._private import api, controller, haproxy
from raylax.cluster.ray_patches import sooner
start = " ".join(getsource(api.serve_start).split())
print("controller, proxy_ready_refs = _create_controller_and_proxy_refs(" in start,
      "if proxy_ready_refs:" in start)
ServeController = controller.ServeController
print("await asyncio.sleep(CONTROL_LOOP_INTERVAL_S)" in getsource(ServeController.run_control_loop),
      "await self.run_control_loop_step(" in getsource(ServeController.run_control_loop))
wait = haproxy.HAProxyApi._wait_for_hap_availability
print([*signature(wait).parameters], "self._get_running_pid() == proc.pid" in getsource(wait))
print(getsource(haproxy.HAProxyApi).count("await self._wait_for_hap_availability("))
"""
    assert say(code) == [
        "True True", "True True", "['self', 'proc', 'timeout_s'] True", "2",
    ]  # fmt: skip


def test_ray_adds_nothing_to_the_paths_of_modules() -> None:
    """Where a job brings a directory of its own it does not, and asks for nothing else by that."""
    code = """
from inspect import getsource
from pathlib import Path
from ray import job_config
from ray._private import worker
from raylax.cluster.ray_patches.import_paths import import_only_what_is_installed
name = "_runtime_env_has_working_dir"
home = Path(worker.__file__).parents[1]
print([str(path.relative_to(home)) for path in sorted(home.rglob("*.py"))
       if name in path.read_text(errors="replace")])
print(getsource(worker.connect).count(f"not job_config.{name}()"))
import_only_what_is_installed()
print(job_config.JobConfig()._runtime_env_has_working_dir())
"""
    assert say(code) == ["['_private/worker.py', 'job_config.py']", "2", "True"]


def test_what_serve_waits_for_is_waited_for_longer() -> None:
    """Under names that Serve reads when it waits, not before."""
    code = """
from inspect import getsource
from ray.serve._private import api, client, cluster_node_info_cache as nodes
from raylax.cluster.ray_patches.patience import ask_longer, wait_longer
places = [
    (api, "HTTP_PROXY_TIMEOUT", api.serve_start),
    (client, "HTTP_PROXY_TIMEOUT", client.ServeControllerClient.wait_for_proxies_serving),
    (nodes, "RAY_GCS_RPC_TIMEOUT_S", nodes.ClusterNodeInfoCache.update),
]
before = [getattr(module, name) for module, name, _ in places]
wait_longer()
ask_longer()
for (module, name, wait), then in zip(places, before):
    print(f"={name}" in getsource(wait), getattr(module, name) > then)
"""
    assert say(code) == ["True True"] * 3


def test_a_raylet_is_waited_for_that_is_late() -> None:
    """Ray's own function says each time that it is not there; it has the name that Ray asks by."""
    code = """
from inspect import getsource
from ray._private import node, services
from raylax.cluster.ray_patches.patience import wait_longer
before = services.get_node
wait_longer()
print("services.get_node(" in getsource(node.Node.__init__), services.get_node is before)
"""
    answers = iter([None, None, "a node"])

    def get_node(address: str) -> str:
        if (answer := next(answers)) is None:
            raise RuntimeError("not yet")
        return answer

    with pytest.raises(RuntimeError, match="not yet"):
        patient(get_node, 0.0)("127.0.0.1")

    assert patient(get_node, 60.0)("127.0.0.1") == "a node"
    assert say(code) == ["True False"]


def test_the_front_door_is_changed_where_ray_has_it() -> None:
    """Every text that is replaced in HAProxy's template is there, and HAProxy takes what comes of
    it."""
    code = """
import os
os.environ["RAYLAX_RUN_DIRECTORY"] = "/tmp/run"
from ray.serve._private import haproxy_templates
from raylax.cluster.ray_patches import front_door
before = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
print(*[text in before for text in
        (front_door.ON_ERROR, front_door.DEFAULTS, front_door.FRONTEND)])
front_door.keep_the_front_door_open()
after = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
print(front_door.ON_ERROR in after, front_door.ON_DOWN in after, "unix@/tmp/run/" in after)
from ray.serve._private.haproxy import HAProxyApi
print(HAProxyApi.start.__module__, HAProxyApi.is_running.__module__)
"""
    changed = "raylax.cluster.ray_patches.front_door"

    assert say(code) == ["True True True", "False True True", f"{changed} {changed}"]


def test_ray_knows_every_variable_that_we_set() -> None:
    """One that is misspelt, or renamed by a later Ray, would do nothing and say nothing."""
    home = Path(ray.__file__).parent
    parts = ("_common", "_private", "dashboard", "serve")
    files = [home / "_raylet.so", *(file for part in parts for file in (home / part).rglob("*.py"))]
    known = b"".join(file.read_bytes() for file in files)
    ours = [*FOR_RAY, *HAPROXY_FILES, *INNER_PORTS, WORKER_SETUP]

    assert [name for name in ours if name.encode() not in known] == []


SEEN = """
import os, sys
from importlib import import_module
os.environ |= {more}
from raylax.cluster.ray_patches.worker_setup import worker_setup
from raylax.cluster.zygote.starting import FIRST, THEN

def load():
    for name in (*FIRST, *THEN):
        import_module(name)

for step in {steps}:
    step()
from ray.serve._private import haproxy_templates
template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
for loaded in sorted((it for it in [*sys.modules.values()] if it), key=lambda it: it.__name__):
    if not loaded.__name__.startswith("ray."):
        continue
    for name, it in sorted(vars(loaded).items()):
        ours = str(getattr(it, "__module__", "")).startswith("raylax.cluster.ray_patches")
        if ours or name == "HAPROXY_CONFIG_TEMPLATE":
            print(loaded.__name__, name, it is template if isinstance(it, str) else it.__qualname__)
"""


def test_a_forked_worker_is_changed_as_one_that_imports_ray_itself(tmp_path: Path) -> None:
    """The first one finds all of Ray's modules imported, with what they have from each other."""
    (tmp_path / "token").write_text("secret")
    more = {**FOR_RAY, "RAYLAX_RUN_DIRECTORY": str(tmp_path)}
    itself, forked = (
        say(SEEN.format(more=more, steps=steps))
        for steps in ("[worker_setup, load]", "[load, worker_setup]")
    )

    assert itself == forked
    assert len(itself) > 6
    assert "ray.serve._private.haproxy HAPROXY_CONFIG_TEMPLATE True" in itself
    changed = "keep_to.<locals>.bind_there"
    assert f"ray.serve._private.replica add_port_to_grpc_server {changed}" in itself
