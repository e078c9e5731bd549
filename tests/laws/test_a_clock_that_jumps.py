"""The time of day may jump, as after a suspend or a first word with a time server: nothing that
waits, expires or is measured knows it."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PLUGIN = "tests.support.jumping_clock"
FILES = (
    "tests/router/calls/test_lifetime.py",
    "tests/router/resume/test_resuming.py",
)
"""What has deadlines, answers that are kept for a while, and workers that may not be silent for
long."""


@pytest.mark.timeout(600)  # a process with 30 tests; each of those has the usual time
def test_all_goes_on_where_every_look_at_the_clock_gives_another_hour() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:xdist", *FILES],
        cwd=ROOT, env={**os.environ, "PYTEST_ADDOPTS": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
