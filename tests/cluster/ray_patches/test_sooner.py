"""Serve begins sooner: in fresh processes, as Ray is changed there."""

import pytest

from tests.cluster.ray_patches.test_ray_internals import say

LOOKS = """
import asyncio
from types import SimpleNamespace
from ray.serve._private import controller
from raylax.cluster.ray_patches import sooner

steps = []

async def step(self, *given):
    steps.append(given)

controller.ServeController.run_control_loop_step = step
controller.CONTROL_LOOP_INTERVAL_S = {seldom}
sooner.look_often_while_it_starts()
states = {states}
apps = SimpleNamespace(
    list_app_statuses=lambda: {{str(i): SimpleNamespace(status=it) for i, it in enumerate(states)}}
)
self = SimpleNamespace(application_state_manager=apps)
asyncio.run(controller.ServeController.run_control_loop_step(self, 1, 2))
print(steps, controller.CONTROL_LOOP_INTERVAL_S)
"""


@pytest.mark.parametrize(
    ("states", "seldom", "interval"),
    [
        ([], 0.5, 0.1),
        (["DEPLOYING"], 0.5, 0.1),
        (["RUNNING", "DEPLOYING"], 0.5, 0.1),
        (["RUNNING"], 0.5, 0.5),
        (["DEPLOY_FAILED"], 0.5, 0.5),
        (["DEPLOYING"], 0.02, 0.02),
    ],
)
def test_the_controller_looks_often_while_an_application_is_deployed(
    states: list[str], seldom: float, interval: float
) -> None:
    """And never less often than it was told."""
    assert say(LOOKS.format(states=states, seldom=seldom)) == [f"[(1, 2)] {interval}"]


def test_states_are_written_as_serve_has_them() -> None:
    code = """
from ray.serve.schema import ApplicationStatus
from raylax.cluster.ray_patches.sooner import SETTLED
print(*[ApplicationStatus(one) == one for one in SETTLED], "DEPLOYING" in [*ApplicationStatus])
"""
    assert say(code) == ["True True True True"]


WAITS = """
import asyncio, time
from types import SimpleNamespace
from ray.serve._private import haproxy
from raylax.cluster.ray_patches import sooner
sooner.ask_haproxy_often()
answers = iter({answers})

async def running_pid():
    return next(answers)

api = SimpleNamespace(_get_running_pid=running_pid)
process = SimpleNamespace(pid=7, returncode={returncode}, _stderr_path="", _stdout_path="")
begun = time.monotonic()
try:
    asyncio.run(haproxy.HAProxyApi._wait_for_hap_availability(api, process, {timeout_s}))
except RuntimeError as error:
    print(error)
print(time.monotonic() - begun < 0.4)
"""


@pytest.mark.parametrize(
    ("answers", "returncode", "timeout_s", "said"),
    [
        ([None, 6, 7], None, 60.0, []),
        ([None] * 1000, None, 0.05, ["HAProxy (pid 7) did not answer within 0.05 s"]),
        ([], 1, 60.0, ["HAProxy crashed during startup: exit code 1"]),
    ],
)
def test_haproxy_is_asked_often(
    answers: list[int | None], returncode: int | None, timeout_s: float, said: list[str]
) -> None:
    """It is there when it answers itself, and not its forerunner."""
    code = WAITS.format(answers=answers, returncode=returncode, timeout_s=timeout_s)

    assert say(code) == [*said, "True"]


def test_the_front_door_is_waited_for_afterwards() -> None:
    """What was to be waited for at the start is, and what became of it is raised."""
    code = """
import ray
from ray import serve
from ray.serve._private import api
from raylax.cluster.ray_patches.sooner import start_serve

def create(*given):
    return "controller", ["door"]

def start(**options):
    print(options, api._create_controller_and_proxy_refs())

def get(refs, timeout):
    print(refs, timeout)
    raise OSError("it did not open")

api._create_controller_and_proxy_refs, serve.start, ray.get = create, start, get
front_door = start_serve(http_options=1)
print(api._create_controller_and_proxy_refs is create)
try:
    front_door()
except OSError as error:
    print(error)
"""
    assert say(code) == [
        "{'http_options': 1} ('controller', [])", "True", "['door'] 180", "it did not open",
    ]  # fmt: skip
