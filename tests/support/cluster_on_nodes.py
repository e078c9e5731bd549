"""A process that starts a Ray of several nodes, all of them at loopback addresses.

One of its own, because Ray reads its environment when it is imported.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raylax.cluster.environment import for_ray, make_run_directory, remove
from raylax.cluster.supervision.processes import end_all
from tests.support.paths import ROOT

PATIENCE_S = 600
ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
END_S = 10.0
SEVERAL_NODES = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # nodes have the addresses that they are given
    "RAY_SERVE_ENABLE_HA_PROXY": "0",  # calls come by gRPC
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
}


@contextmanager
def results_of(module: str, checkpoint: Path, **more: str) -> Iterator[Any]:
    """What `module.main` has written, in this environment and `more` of it; nothing of it is
    left."""
    directory = make_run_directory()
    written = directory / "results"
    code = f"from {module} import main; main()"
    command = [sys.executable, "-W", "ignore", "-c", code, str(written), str(checkpoint)]
    env = {**for_ray(directory, ADDRESSES), **SEVERAL_NODES, **more}
    env.pop("CUDA_VISIBLE_DEVICES", None)  # GPUs are what Ray is told of
    driver = subprocess.Popen(
        command,
        env=env,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == 0, said
        yield pickle.loads(written.read_bytes())
    finally:
        end_all(driver.pid, directory, END_S)
        driver.kill()
        driver.communicate()
        remove(directory)
