"""The documentation as a site: every link leads somewhere, references are what the code says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster_options import COMMANDS, options
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built strictly: a warning would have been an error."""
    directory = tmp_path_factory.mktemp("site")
    mkdocs = Path(sys.executable).with_name("mkdocs")
    done = subprocess.run(
        [mkdocs, "build", "--site-dir", directory],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return directory


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there_with_its_options(command: str, site: Path) -> None:
    page = (site / "reference" / "commands" / "index.html").read_text()

    assert f'id="raylax-{command}"' in page
    assert [option for option in options(command) if option not in page] == []


def test_every_endpoint_is_there(site: Path) -> None:
    page = (site / "reference" / "http" / "index.html").read_text()
    told = json.loads((site / "reference" / "openapi.json").read_text())

    paths = [f"{method.upper()} {path}" for path, of in told["paths"].items() for method in of]
    assert "POST /v1/chat/completions" in paths
    assert [path for path in paths if path not in page] == []


def test_pages_beside_the_documentation_are_there(site: Path) -> None:
    """Those to which it leads, and files, too."""
    lead = (site / "api" / "index.html").read_text()

    assert 'href="../repository/proto/pb/raylax.proto"' in lead
    assert (site / "repository" / "proto" / "pb" / "raylax.proto").exists()
    assert (site / "repository" / "kernels" / "index.html").exists()
