"""The unit for systemd: it starts raylax as a user of its own, who can do no more than it needs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UNIT = ROOT / "deploy" / "systemd" / "raylax.service"
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSED = 2.5
"""Of ten, by systemd's own count; under three it says OK."""
EXPECTED = {
    "ExecReload": "/bin/kill -USR1 $MAINPID",
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "LimitCORE": "0",
    "Restart": "on-failure",
}


def settings() -> dict[str, str]:
    """The last value of each key."""
    lines = UNIT.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def test_it_says_what_keeps_it_apart() -> None:
    found = settings()

    assert {name: found.get(name) for name in EXPECTED} == EXPECTED
    assert found["ExecStart"] == "/opt/raylax/bin/raylax serve --config /etc/raylax/raylax.yaml"


def test_models_and_what_is_compiled_outlive_it() -> None:
    """In directories that systemd makes for its user."""
    found = settings()

    assert found["CacheDirectory"] == found["StateDirectory"] == "raylax"
    assert "HF_HOME=%C/raylax/hub" in found["Environment"].split()
    assert "RAYLAX_STORE=%C/raylax/store" in found["Environment"].split()


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """With a command that is there; it knows every key, and thinks well of it."""
    assert ANALYZE is not None
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/raylax/bin/raylax serve", "/bin/true"))
    verified = subprocess.run([ANALYZE, "verify", unit], capture_output=True, text=True)
    threshold = f"--threshold={int(10 * MOST_EXPOSED)}"
    judged = subprocess.run(
        [ANALYZE, "security", "--offline=true", threshold, unit], capture_output=True, text=True
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert judged.returncode == 0, judged.stdout.splitlines()[-1]
