"""The wheel and the sdist of this checkout, and environments that they are installed into."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from raylax.kernels.store import Store, key_of
from tests.support.paths import ROOT

PARTS = ("cluster", "deploy", "kernels", "proto", "router", "worker")
OF_DEPLOY = ("demo_model", "raylax.yaml")
"""The rest there is for those who deploy raylax, and read by nothing of it."""
BESIDE = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml")
"""What else distributions are made of."""
UV = str(Path(sys.executable).with_name("uv"))


def sources() -> dict[str, Path]:
    """Every file of the package by its name in a wheel; pages about the code are none."""
    package = ROOT / "src" / "raylax"
    found = {f"raylax/{path.name}": path for path in package.iterdir() if path.is_file()}
    folders = [ROOT / part for part in PARTS if part != "deploy"]
    inside = [path for folder in folders for path in folder.rglob("*")]
    for name in OF_DEPLOY:
        inside += [ROOT / "deploy" / name, *(ROOT / "deploy" / name).rglob("*")]
    for path in inside:
        if path.is_file() and path.suffix != ".md" and "__pycache__" not in path.parts:
            found[f"raylax/{path.relative_to(ROOT)}"] = path
    return found


def built(store: Path) -> tuple[Path, Path]:
    """The wheel and the sdist: of this run, or of an earlier one with the same sources."""
    files = sources() | {name: ROOT / name for name in BESIDE} | {"built by": Path(__file__)}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    directory = Store(store).get("distribution", key_of(digests), build)[0]
    (wheel,) = directory.glob("*.whl")
    (sdist,) = directory.glob("*.tar.gz")
    return wheel, sdist


def build(directory: Path) -> None:
    """As `make dist` does, by what this environment has of setuptools, which leaves files beside
    the sources: in a copy."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for folder in (*PARTS, "src"):
            built_before = shutil.ignore_patterns("*.egg-info")
            shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=built_before)
        (copy / "tests").mkdir()
        for file in (*BESIDE, "tests/test_layout.py"):
            shutil.copy(ROOT / file, copy / file)
        options = ["--quiet", "--offline", "--no-build-isolation", "--python", sys.executable]
        said([UV, "build", *options, "--out-dir", str(directory), str(copy)])


def installed(directory: Path, tool: str, distribution: Path) -> Path:
    """A new environment with it, installed by pip or uv: where its commands lie. All that raylax
    needs is found in ours, which takes no network and no minute; raylax itself comes from the new
    one, which is looked at first."""
    said([UV, "venv", "--quiet", "--offline", "--python", sys.executable, str(directory)])
    python = str(directory / "bin" / "python")
    packages = sysconfig.get_path("purelib", vars={"base": str(directory)})
    Path(packages, "ours.pth").write_text(sysconfig.get_path("purelib"))
    own = ["--no-deps", "--no-build-isolation", str(distribution)]
    if tool == "pip":
        options = ["--no-index", "--ignore-installed", "--quiet"]
        said([python, "-m", "pip", "install", *options, *own])
    else:
        options = ["--offline", "--quiet", "--python", python]
        said([UV, "pip", "install", *options, *own])
    return directory / "bin"


def said(command: list[str]) -> str:
    """What it prints, run from nowhere near the checkout and without its path."""
    finished = subprocess.run(
        command, cwd="/", env=clean(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def clean() -> dict[str, str]:
    """Our environment variables but those by which a checkout is found."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
