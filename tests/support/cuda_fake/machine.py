"""Makes the fake driver, and the environment in which a process finds it."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.cuda_fake.device import CUBINS
from tests.support.paths import ROOT

HERE = Path(__file__).parent
PYTHON = "from tests.support.cuda_fake import device; device.installed()"
VERSION = "libcudart.so.13 { global: cuda*; };\n"
"""The node that the symbols of CUDA's run time carry."""


def make_driver(directory: Path) -> None:
    """`libcuda.so.1`, `libcudart.so.13`, `libnvidia-ml.so.1` and `libnccl.so.2` there. Raises
    FileNotFoundError without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("a fake driver is made by a C compiler, and none is on the PATH")
    script = directory / "version"
    script.write_text(VERSION)
    driver, runtime = directory / "libcuda.so.1", directory / "libcudart.so.13"
    shared = (compiler, "-shared", "-fPIC", "-O1", "-w")
    subprocess.run(
        [*shared, f"-Wl,-soname,{driver.name}", "-o", driver, HERE / "driver.c", "-ldl"], check=True
    )
    named = (f"-Wl,-soname,{runtime.name}", f"-Wl,--version-script={script}")
    subprocess.run([*shared, *named, "-o", runtime, HERE / "runtime.c", driver], check=True)
    nccl = directory / "libnccl.so.2"
    soname = f"-Wl,-soname,{nccl.name}"
    subprocess.run([*shared, soname, "-o", nccl, HERE / "nccl.c", driver, "-lrt"], check=True)
    management = directory / "libnvidia-ml.so.1"
    soname = f"-Wl,-soname,{management.name}"
    subprocess.run([*shared, soname, "-o", management, HERE / "nvml.c"], check=True)


def environment(directory: Path, cubins: list[Path], **more: str) -> dict[str, str]:
    """In which a process has the GPUs of `make_driver`; `more` as driver.c and nvml.c say."""
    here = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return {
        **here,
        "LD_LIBRARY_PATH": str(directory),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        "RAYLAX_FAKE_PYTHON": PYTHON,
        CUBINS: ":".join(map(str, cubins)),
        **more,
    }


def cubins_here() -> list[Path]:
    """The directories of machine code that this process was told of."""
    return [Path(one) for one in os.environ[CUBINS].split(":")]
