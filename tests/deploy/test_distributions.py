"""The wheel and the sdist: whole, and installed by pip and by uv they run without the checkout."""

import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

import raylax
from tests.support.cluster_serving import READY, serving
from tests.support.distributions import built, clean, installed, said, sources

SURFACE = "import raylax; print(*(getattr(raylax, name).__module__ for name in raylax.__all__))"


@pytest.fixture(scope="module")
def wheel(store: Path) -> Path:
    return built(store)[0]


@pytest.fixture(scope="module")
def sdist(store: Path) -> Path:
    return built(store)[1]


def test_a_wheel_has_every_file_of_the_parts_and_no_other(wheel: Path) -> None:
    """It was built from the sdist, so nothing is lost on that way either."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist() if "dist-info" not in name}

    assert found == {name: path.read_bytes() for name, path in sources().items()}


def test_an_sdist_has_every_file_once_and_no_tests(sdist: Path) -> None:
    """As a file, where a checkout has links."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members if member.isfile()}

    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert {name.removeprefix("src/") for name in names if name.startswith("src/raylax/")} == set(
        sources()
    )
    others = {name.partition("/")[0] for name in names} - {"src"}
    assert others == {
        "CHANGELOG.md", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml",
        "setup.cfg",
    }  # fmt: skip


def test_they_are_small(wheel: Path, sdist: Path) -> None:
    """MB: the demo model and its drafts are 8 of them."""
    assert wheel.stat().st_size < 11e6
    assert sdist.stat().st_size < 11e6


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_what_is_installed_runs(
    tool: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    commands = installed(tmp_path / "new", tool, request.getfixturevalue(kind))
    where = said([str(commands / "python"), "-c", "import raylax; print(raylax.__file__)"])

    assert where.startswith(str(tmp_path))
    assert f"raylax {version('raylax')}" in said([str(commands / "raylax"), "--version"])
    assert "smollm2" in said([str(commands / "raylax"), "models"])
    surface = said([str(commands / "python"), "-c", SURFACE]).split()
    assert surface == [getattr(raylax, name).__module__ for name in raylax.__all__]


@pytest.mark.cluster
def test_an_installed_wheel_serves_the_demo_model(wheel: Path, tmp_path: Path) -> None:
    """All of its processes find it: they start without the checkout in their path."""
    commands = installed(tmp_path / "new", "uv", wheel)
    with serving(raylax=commands / "raylax", environment=clean()) as served:
        served.wait_until_it_says(READY)
        body = {"messages": [{"role": "user", "content": "What is 2 + 2?"}], "temperature": 0}
        answer = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60).json()

        assert "4" in answer["choices"][0]["message"]["content"]
