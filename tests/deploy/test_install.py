"""`make serve` installs with uv or, where that cannot, with pip; and says little of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bench_commands import peer
from tests.support.paths import ROOT

UV_SAYS = r"""
echo "$@" >> "$0.asked"
printf 'Resolved 2 packages in 1s\nDownloading ray (75.6MiB)\n Downloaded ray\n + a==1\n + ray==2\n'
printf 'Installed 2 packages in 1ms\n'
"""
FAILS = 'echo "$@" >> "$0.asked"; echo "no index"; exit 2'


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """That is there already, with a pip that only says what it was asked."""
    (tmp_path / "new" / "bin").mkdir(parents=True)
    peer(tmp_path / "new" / "bin" / "pip", 'echo "$@" >> "$0.asked"; echo "Successfully installed"')
    return tmp_path / "new"


def installed(environment: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Beside the environment lies what is found on the PATH."""
    command = [sys.executable, str(ROOT / "scripts" / "install.py"), str(environment), *arguments]
    path = f"{environment.parent}:/usr/bin:/bin"
    return subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
    )


def asked(program: Path) -> list[str]:
    return program.with_name(f"{program.name}.asked").read_text().splitlines()


def test_uv_installs_and_its_stages_are_said(environment: Path, tmp_path: Path) -> None:
    """A line each, and none for a package."""
    uv = peer(tmp_path / "uv", UV_SAYS)
    done = installed(environment, "--group", "dev")

    python = environment / "bin" / "python"
    assert asked(uv) == [
        f"pip install --python {python} --compile-bytecode --editable . --group=dev"
    ]
    said = [line.partition("] ")[2] for line in done.stdout.splitlines()]
    assert said[:-1] == ["Resolved 2 packages in 1s", "Installed 2 packages in 1ms"]
    assert f"installed in {environment}".startswith(said[-1])


def test_pip_installs_where_uv_cannot(environment: Path, tmp_path: Path) -> None:
    peer(tmp_path / "uv", FAILS)
    done = installed(environment)

    assert done.returncode == 0
    assert asked(environment / "bin" / "pip") == [
        "install --upgrade pip>=25.1", "install --editable .",
    ]  # fmt: skip


def test_what_the_installer_said_is_shown_when_it_fails(environment: Path, tmp_path: Path) -> None:
    """Without a traceback."""
    peer(tmp_path / "uv", FAILS)
    peer(environment / "bin" / "pip", FAILS)
    done = installed(environment)

    assert done.returncode == 1
    assert "no index" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: raylax could not be installed in")
    assert "Traceback" not in done.stderr
