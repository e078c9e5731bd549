"""Serve's own pages are nobody's, and HAProxy still learns how a replica is."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.cluster.environment import RUN_DIRECTORY, token_of
from raylax.cluster.ray_patches.own_pages import HEALTH, ROUTES, OwnPages, path_of
from tests.support.paths import ROOT

SECRET = path_of("token")


def path_found(asked: str) -> str:
    """What Serve takes for the path of a request."""
    found: list[str] = []

    async def serve(scope: object, receive: object, send: object) -> None:
        assert isinstance(scope, dict)
        found.append(scope["path"])

    asyncio.run(OwnPages(serve, SECRET)({"type": "http", "path": asked}, None, None))  # type: ignore[arg-type]
    return found[0]


def test_health_is_told_to_whom_we_told_where_to_ask() -> None:
    assert path_found(SECRET) == HEALTH


@pytest.mark.parametrize("asked", [HEALTH, ROUTES, f"{SECRET}/", f"{HEALTH}/{'0' * 64}"])
def test_what_anybody_may_ask_is_no_page_of_serves(asked: str) -> None:
    assert path_found(asked) not in (HEALTH, ROUTES)


@pytest.mark.parametrize("asked", ["/", "/v1/models", "/health", "/-/", ""])
def test_other_paths_stay_as_they_are(asked: str) -> None:
    assert path_found(asked) == asked


def test_a_scope_without_a_path_passes() -> None:
    """As of an application's start."""
    passed = []

    async def serve(scope: object, receive: object, send: object) -> None:
        passed.append(scope)

    asyncio.run(OwnPages(serve, SECRET)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]

    assert passed == [{"type": "lifespan"}]


def test_each_run_has_a_path_of_its_own_which_does_not_tell_the_token() -> None:
    assert path_of("one") != path_of("another")
    assert "one" not in path_of("one").removeprefix(HEALTH)


def test_haproxy_asks_there_and_answers_nothing_itself(tmp_path: Path) -> None:
    """In the template that Serve has when all is set up: it takes the text when it is imported."""
    token_of(tmp_path).write_text("token")
    code = """
from ray.serve._private import haproxy_templates
before = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
from raylax.cluster.ray_patches.worker_setup import worker_setup
worker_setup()
from ray.serve._private import haproxy, http_util
after = haproxy.HAPROXY_CONFIG_TEMPLATE
for text in ("routes_message", "{{ healthz_rules", "listen stats", "prometheus", "level admin"):
    print(text in before, text in after)
print(*[line.split()[-1] for line in after.splitlines() if "option httpchk" in line])
print(*[line.split()[1] for line in after.splitlines() if line.split()[:1] == ["bind"]])
print(type(http_util.RequestIdMiddleware(None)).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={RUN_DIRECTORY: str(tmp_path), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *gone, asked, bound, middleware = done.stdout.splitlines()

    assert gone == ["True False"] * 5
    assert asked == SECRET
    assert bound.split() == [f"unix@{tmp_path}/health.sock", "{{", "{{"]
    assert middleware == "OwnPages"
