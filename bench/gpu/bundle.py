"""Packs all that the check needs beside numpy and the driver into one archive.

    python bench/gpu/bundle.py [--chip sm_90] [--output dist/gpu-check-sm_90.tar.gz]

There: `tar xf gpu-check-sm_90.tar.gz && python gpu-check/check.py --json gpu.json`. It has a kit (`kit.py`),
our sources, TVM's run time (without its compiler), CUDA's run time, for Linux on x86-64 and for this
Python and those of `--python`.
"""

import argparse
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from packing.kit import ROOT, Kit, kit_for
from packing.source import commit

from raylax.kernels.cuda.cubins.chips import CHIPS, chip_named
from raylax.kernels.cuda.device.cudart import WHEEL
from raylax.kernels.errors import KernelsError

NAME, MOST_BYTES = "gpu-check", 60_000_000
OURS = ("kernels", "bench/gpu", "tests/support/cuda_fake", "src/raylax/__init__.py")
ALONE = (
    "tests/__init__.py",
    "tests/support/paths.py",
    "tests/support/cuda_interpreter.py",
    "tests/support/cuda_pace.py",
    "LICENSE",
)
FFI, FFI_DISTRIBUTION = "tvm_ffi", "apache-tvm-ffi"
UNUSED = ("include", "3rdparty", "share", "src", "cython", "__pycache__", "*.pyc")
"""Of TVM's package for calls: what extensions are compiled with."""
LIBRARIES = ("libtvm_runtime.so", "libtvm_runtime_cuda.so")
PYTHONS = ("3.11", "3.12", "3.13")
RUN = '''"""Runs the check with what lies here: `python check.py --help` says how."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
try:
    import numpy  # noqa: F401
except ImportError:
    sys.exit("the check needs numpy: pip install numpy")
places = [str(HERE / "src"), str(HERE / "site"), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, places))
os.execv(sys.executable, [sys.executable, str(HERE / "bench" / "gpu" / "check.py"), *sys.argv[1:]])
'''


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--chip", default="sm_90", help=", ".join(chip.name for chip in CHIPS.values())
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument(
        "--python", nargs="*", default=PYTHONS, help="versions that it is for, beside this one"
    )
    parser.add_argument("--small", action="store_true", help="with a kit for --fake --small alone")
    given = parser.parse_args()
    output = given.output or ROOT / "dist" / f"{NAME}-{given.chip}.tar.gz"
    try:
        runtime_files()
        kit = kit_for(chip_named(given.chip).number, given.small, progress)
    except KernelsError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as place:
        top = Path(place) / NAME
        fill(top, kit, given.python)
        output.parent.mkdir(parents=True, exist_ok=True)
        pack(top, output)
    size = output.stat().st_size
    print(f"{output}: {size / 1e6:.1f} MB, of {MOST_BYTES / 1e6:.0f}")
    return int(size > MOST_BYTES)


def progress(stage: str, fraction: float) -> None:
    """On the screen."""
    print(
        f"\r{stage}: {fraction:.0%} ",
        end="\n" if fraction >= 1 else "",
        file=sys.stderr,
        flush=True,
    )


def fill(top: Path, kit: Kit, pythons: Sequence[str]) -> None:
    """The bundle as a directory."""
    for name in OURS:
        put(ROOT / name, top / name)
    for name in ALONE:
        put(ROOT / name, top / name)
    (top / "src" / "raylax" / "kernels").symlink_to("../../kernels")
    (top / "check.py").write_text(RUN)
    put(kit.directory, top / "kit")
    (top / "kit" / "commit.json").write_text(json.dumps(commit()))
    site = top / "site"
    site.mkdir()
    tvm_into(site, pythons)
    cuda_into(site)
    for name in ("typing_extensions", "filelock"):
        origin = Path(find(name))
        put(
            origin.parent if origin.name == "__init__.py" else origin,
            site / (name if origin.name == "__init__.py" else origin.name),
        )


def tvm_into(site: Path, pythons: Sequence[str]) -> None:
    """Its run time: the two libraries, where they are looked for, and what calls them."""
    (site / "tvm" / "lib").mkdir(parents=True)
    (site / "tvm" / "__init__.py").write_text('"""Where the run time\'s libraries lie."""\n')
    for name in LIBRARIES:
        put(Path(find("tvm")).parent / "lib" / name, site / "tvm" / "lib" / name)
    put(Path(find(FFI)).parent, site / FFI)
    own = platform.python_version_tuple()[:2]
    for version in pythons:
        if tuple(version.split(".")) != own:
            core_for(version, site / FFI)


def core_for(version: str, package: Path) -> None:
    """The part of TVM's package that is compiled for a version of Python, from its wheel."""
    wanted = f"{FFI_DISTRIBUTION}=={importlib.metadata.version(FFI_DISTRIBUTION)}"
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in (28, 24, 17)]
    with tempfile.TemporaryDirectory() as place:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ]
        command += ["--python-version", version, "--dest", place, wanted]
        command += [word for name in platforms for word in ("--platform", name)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"without Python {version}: no wheel of {wanted} could be had", file=sys.stderr)
            return
        (wheel,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            for name in files.namelist():
                if name.startswith(f"{FFI}/core.") and name.endswith(".so"):
                    (package / Path(name).name).write_bytes(files.read(name))


def runtime_files() -> list[importlib.metadata.PackagePath]:
    """Those of CUDA's run time, as it was installed. Raises KernelsError where it was not."""
    try:
        return importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        raise KernelsError(f"a bundle has {WHEEL} in it: pip install 'raylax[cuda]'") from None


def cuda_into(site: Path) -> None:
    """CUDA's run time, and what says that it is there."""
    for file in runtime_files():
        if file.name.startswith("libcudart.so") or file.name in (
            "METADATA",
            "License.txt",
            "RECORD",
        ):
            put(Path(str(file.locate())), site / str(file))


def find(name: str) -> str:
    """Where a package lies."""
    found = find_spec(name)
    assert found is not None and found.origin is not None
    return found.origin


def put(source: Path, to: Path) -> None:
    """A file, or a directory without what nobody runs."""
    if source.is_dir():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns(*UNUSED, "shipped"))
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, to)


def pack(top: Path, output: Path) -> None:
    """One archive, whose files belong to whoever unpacks it and are nobody else's to write."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(output, "w:gz") as archive:
        archive.add(top, NAME, filter=plain)


if __name__ == "__main__":
    sys.exit(main())
