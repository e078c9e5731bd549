"""Keeps Serve's front door open: HAProxy is started again at once, and holds nobody to the dead.

Serve asks the manager of HAProxy now and then whether that is there, and replaces both when it was
not three times, which takes half a minute. Here the manager waits for HAProxy's end. One that is
new takes over from the HAProxy that its forerunner has left, which meanwhile serves on. To be
called in every process of Serve, before it writes HAProxy's configuration.
"""

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from raylax.cluster.environment import entrance_of, run_directory
from raylax.cluster.ray_patches.replacing import put
from raylax.cluster.ray_patches.tls import certificates_of_the_run
from raylax.cluster.supervision.processes import all_processes, arguments_of
from raylax.proto.errors import WorkerUnavailable

POLL_S = 0.05
AGAIN_EVERY_S = 0.5
LOOK_EVERY_S = 1.0
"""At certificates, which may be exchanged while HAProxy serves."""
PATIENCE_S = 15.0
"""How long HAProxy may take to start again before its manager says that it is not well."""
CHECK_S = 4
"""How long a router may take to answer one of HAProxy's checks: it may be busy, and so may the
machine. A stopped one is killed sooner (`raylax.cluster.supervision`)."""

HAPROXYS_FIRST = ("-db",)
"""How Serve's command for HAProxy begins, whatever that is named."""
ON_ERROR = "on-error mark-down"
ON_DOWN = "on-error fail-check on-marked-down shutdown-sessions"
"""A connection that fails counts as a failed check, so that a router which answers those stays;
what is sent to one that does not is let go."""
DEFAULTS = "defaults\n    mode http\n"
FRONTEND = "frontend http_frontend\n"
NO_ROUTER = WorkerUnavailable("no router serves now", retry_after_s=1.0)
"""What clients are told while there is none: that comes back."""
BACKEND = "backend default_backend\n"
NOBODY = """{{%- if not backends %}}
    http-request return status 503 content-type application/json string '{body}' hdr Retry-After 1
{{%- endif %}}
"""
ENTRANCE = """frontend raylax_supervision
    bind unix@{socket} mode 600
    mode http
    no log
    {{%- if backends %}}
    default_backend {{{{ backends[0].name }}}}
    {{%- endif %}}
"""


def keep_the_front_door_open() -> None:
    """Changes HAProxy's configuration, and how its manager looks after it."""
    change_the_template()
    change_the_manager()


def change_the_template() -> None:
    """Checks leave time for an answer, nobody stays with the dead, and supervision has an entrance
    to itself."""
    from ray.serve._private import haproxy_templates

    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    template = template.replace(ON_ERROR, ON_DOWN)
    template = template.replace(DEFAULTS, f"{DEFAULTS}    timeout check {CHECK_S}s\n", 1)
    nobody = NOBODY.format(body=json.dumps(NO_ROUTER.body()))
    template = template.replace(BACKEND, BACKEND + nobody, 1)
    if (directory := run_directory()) is not None:
        entrance = ENTRANCE.format(socket=entrance_of(directory))
        template = template.replace(FRONTEND, entrance + FRONTEND, 1)
    put(haproxy_templates, "HAPROXY_CONFIG_TEMPLATE", template)


def change_the_manager() -> None:
    """Puts a Keeper between Serve and the part of it that starts, reloads and stops HAProxy."""
    from ray.serve._private import haproxy

    haproxy.asyncio.create_subprocess_exec = in_its_own_session(asyncio.create_subprocess_exec)
    HAProxyApi = haproxy.HAProxyApi
    methods = {name: getattr(HAProxyApi, name) for name in ("start", "reload", "stop")}
    is_running = HAProxyApi.is_running

    def keeper_of(api: Any) -> Keeper:
        if not hasattr(api, "raylax_keeper"):
            api.raylax_keeper = Keeper(api, **methods)
        found: Keeper = api.raylax_keeper
        return found

    async def running_or_soon(api: Any) -> bool:
        return keeper_of(api).starts or await is_running(api)

    write_files = HAProxyApi._initialize_directories_and_error_files

    def write_files_of_ours(api: Any) -> None:
        write_files(api)
        Path(api.cfg.error_file_path).write_bytes(error_file())

    HAProxyApi._initialize_directories_and_error_files = write_files_of_ours
    HAProxyApi.start = lambda api: keeper_of(api).start()
    HAProxyApi.reload = lambda api: keeper_of(api).reload()
    HAProxyApi.stop = lambda api: keeper_of(api).stop()
    HAProxyApi.is_running = running_or_soon


def error_file() -> bytes:
    """What HAProxy answers where no router does: Serve's own would be a bare 500."""
    body = json.dumps(NO_ROUTER.body())
    head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nRetry-After: 1\r\n\r\n{body}".encode()


def in_its_own_session(execute: Any) -> Any:
    """Starts HAProxy where it does not die with its manager: Ray ends the group of a process that
    has ended."""

    async def execute_apart(program: str, *arguments: str, **options: Any) -> Any:
        apart = arguments[:1] == HAPROXYS_FIRST
        return await execute(program, *arguments, **options, start_new_session=apart)

    return execute_apart


class Keeper:
    """Starts HAProxy, and again whenever it has ended, until it is told to stop. One for each
    manager, on its event loop."""

    def __init__(self, api: Any, start: Any, reload: Any, stop: Any) -> None:
        """`api`: Serve's, and its own methods."""
        self._api, self._start, self._reload, self._stop = api, start, reload, stop
        self._one_at_a_time = asyncio.Lock()
        self._watches: list[asyncio.Task[None]] = []
        self._certificates = certificates_of_the_run()
        self._missing_since: float | None = None

    @property
    def starts(self) -> bool:
        """Whether HAProxy has ended and is expected back."""
        since = self._missing_since
        return since is not None and time.monotonic() - since < PATIENCE_S

    async def start(self) -> None:
        """In place of one that somebody else has left, if there is one: that serves on until it is
        known where routers are."""
        if processes_with(self._api.config_file_path):
            await self._hear_of_routers()
        async with self._one_at_a_time:
            await self._start_or_take_over()
        self._watches = [asyncio.create_task(one()) for one in (self._keep, self._renew)]

    async def reload(self) -> None:
        """With a new configuration; where nothing runs that could be reloaded, it is started."""
        async with self._one_at_a_time:
            if self._runs:
                await self._reload(self._api)
            else:
                await self._start_or_take_over()

    async def stop(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await self._stop(self._api)

    @property
    def _runs(self) -> bool:
        return self._api._proc is not None and self._api._proc.returncode is None

    async def _keep(self) -> None:
        while True:
            await self._api._proc.wait()
            if self._runs:  # it was reloaded: this one was to end
                continue
            if self._missing_since is None:
                self._missing_since = time.monotonic()
            try:
                async with self._one_at_a_time:
                    if not self._runs:
                        await self._start_or_take_over()
                self._missing_since = None
            except Exception:  # Serve has logged it
                await asyncio.sleep(AGAIN_EVERY_S)

    async def _renew(self) -> None:
        """Have HAProxy read its certificates again once they are others: who is connected stays."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if (found := certificates_of_the_run()) != self._certificates:
                with suppress(Exception):  # Serve has logged it, and it is tried again
                    await self.reload()
                    self._certificates = found

    async def _hear_of_routers(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self._api.backend_configs and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    async def _start_or_take_over(self) -> None:
        """The new one lets those that are there finish what they have, and takes their sockets if
        they give them."""
        api = self._api
        left = processes_with(api.config_file_path)
        begin = api._start_and_wait_for_haproxy
        if left:
            takes = ["-sf", *map(str, left)]
            if await api._get_running_pid() in left:
                takes += ["-x", api.cfg.socket_path]
            api._start_and_wait_for_haproxy = lambda: begin(*takes)
        try:
            await self._start(api)
        finally:
            api._start_and_wait_for_haproxy = begin


def processes_with(config: str) -> list[int]:
    """Pids of the living processes whose command line names this file."""
    return [one.pid for one in all_processes() if not one.ended and config in arguments_of(one.pid)]
