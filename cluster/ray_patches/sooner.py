"""Has Serve begin sooner: nobody waits for what he does not need yet, nor for a clock.

`serve.start` returns when the front door is open, though the controller could take the application
meanwhile. The controller looks seldom what has become of replicas (`environment.FOR_RAY`), which is
right while they run, and holds up each of the three steps by which they start. HAProxy is asked
every half second whether it is there, when it starts and after each change.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from raylax.cluster.ray_patches.patience import FRONT_DOOR_S

OFTEN_S = 0.1
"""Serve's own interval, while an application is deployed."""
ASK_S = 0.02
SETTLED = ("RUNNING", "DEPLOY_FAILED", "UNHEALTHY")
"""States of an application that a look more often does not change."""


def start_serve(**options: Any) -> Callable[[], None]:
    """As `serve.start`, but returns when the controller is there; what it gives then waits for the
    front door, and raises what became of that."""
    import ray
    from ray import serve
    from ray.serve._private import api

    create, doors = api._create_controller_and_proxy_refs, list[Any]()

    def create_alone(*given: Any, **more: Any) -> tuple[Any, list[Any]]:
        controller, found = create(*given, **more)
        doors.extend(found)
        return controller, []

    api._create_controller_and_proxy_refs = create_alone
    try:
        serve.start(**options)
    finally:
        api._create_controller_and_proxy_refs = create
    return lambda: ray.get(doors, timeout=FRONT_DOOR_S) and None


def look_often_while_it_starts() -> None:
    """Changes the controller's interval. To be called in its process."""
    from ray.serve._private import controller

    seldom = controller.CONTROL_LOOP_INTERVAL_S
    step = controller.ServeController.run_control_loop_step

    async def step_and_choose(self: Any, *given: Any) -> None:
        await step(self, *given)
        states = self.application_state_manager.list_app_statuses().values()
        settled = states and all(one.status in SETTLED for one in states)
        controller.CONTROL_LOOP_INTERVAL_S = seldom if settled else min(OFTEN_S, seldom)

    controller.ServeController.run_control_loop_step = step_and_choose


def ask_haproxy_often() -> None:
    """Changes how its manager waits for it. To be called in every process of Serve."""
    from ray.serve._private import haproxy

    wait = haproxy.HAProxyApi._wait_for_hap_availability
    patience_s = haproxy.RAY_SERVE_HAPROXY_STARTUP_TIMEOUT_S

    async def ask_often(self: Any, process: Any, timeout_s: float = patience_s) -> None:
        deadline = time.monotonic() + timeout_s
        while process.returncode is None and time.monotonic() < deadline:
            if await self._get_running_pid() == process.pid:
                return
            await asyncio.sleep(ASK_S)
        if process.returncode is None:
            raise RuntimeError(f"HAProxy (pid {process.pid}) did not answer within {timeout_s:g} s")
        await wait(self, process, timeout_s)  # which says why it has ended

    haproxy.HAProxyApi._wait_for_hap_availability = ask_often
