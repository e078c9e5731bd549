"""The Dockerfile: without fault, and its steps make an image that is small and serves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bench_commands import finished
from tests.support.debian import CACHE
from tests.support.paths import ROOT

DOCKER = ROOT / "deploy" / "docker"
BASE = CACHE / "raylax-image" / "debian"
TRUSTED = os.environ.get("SSL_CERT_FILE")
"""Before any test."""
MOST_MB, SYSTEM_MB = 1200, 300
"""Of the image, and of what in it is not ours."""


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom the machine trusts, and not what other tests do: a package index is asked."""
    if TRUSTED is None:
        monkeypatch.delenv("SSL_CERT_FILE")
    else:
        monkeypatch.setenv("SSL_CERT_FILE", TRUSTED)


def test_hadolint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DOCKER / "Dockerfile"], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_the_linker_in_the_place_of_a_compiler_links(tmp_path: Path) -> None:
    """What TVM asks of a compiler."""
    (tmp_path / "seven.c").write_text("int seven(void) { return 7; }")
    subprocess.run(["cc", "-c", "-fPIC", "seven.c"], cwd=tmp_path, check=True)
    command = [str(DOCKER / "link.sh"), "-fPIC", "-shared", "-o", "seven.so", "seven.o"]
    subprocess.run(command, cwd=tmp_path, check=True)

    call = "import ctypes; print(ctypes.CDLL('./seven.so').seven())"
    said = subprocess.run([sys.executable, "-c", call], cwd=tmp_path, capture_output=True)
    assert said.stdout == b"7\n"
    read = subprocess.run(["readelf", "-d", "seven.so"], cwd=tmp_path, capture_output=True)
    assert b"AUXILIARY" not in read.stdout, "what ld understands by -fPIC"


@pytest.mark.image
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not BASE.exists(), reason="python bench/image.py has not been run here")
def test_its_steps_make_an_image_that_serves(trusting: None) -> None:
    """In Debian's smallest system, as root."""
    code, said, errors = finished("image.py", "--serve", patience_s=1100)

    assert code == 0, said + errors
    found = re.search(r"│ all +│ +(\d+) +│", said)
    assert found and int(found[1]) < MOST_MB
    assert said.endswith("2 + 2 = 4\n")


@pytest.mark.image
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the image's Python is 3.11")
def test_its_steps_serve_in_an_empty_folder(trusting: None) -> None:
    """Where there is neither root nor debootstrap: all but the system's own."""
    code, said, errors = finished("image.py", "--prefix", "--serve", patience_s=800)

    assert code == 0, said + errors
    found = re.findall(r"│ (?:what raylax needs|raylax) +│ +(\d+) +│", said)
    assert len(found) == 2 and sum(map(int, found)) < MOST_MB - SYSTEM_MB
    assert said.endswith("2 + 2 = 4\n")
