"""The driver without a GPU (`tests/support/cuda_fake`), for trying the check itself."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packing.kit import ROOT, Kit

CHIP = 90


def environment(directory: Path, kit: Kit | None) -> dict[str, str]:
    """For a part's process; the driver lies in `directory`, and is made there if it is not."""
    sys.path.insert(0, str(ROOT))
    from tests.support.cuda_fake.machine import environment, make_driver

    if not (directory / "libcuda.so.1").exists():
        make_driver(directory)
    alone = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    here = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return environment(
        directory,
        [kit.cubins] if kit else [],
        PYTHONPATH=os.pathsep.join(filter(None, here)),
        **alone,
    )


@contextmanager
def adding_as(chip: int) -> Iterator[None]:
    """In a part's process: products add as this chip's matrix unit, not as float32 does."""
    from raylax.kernels.cuda.matrix_unit import UNITS
    from tests.support.cuda_interpreter import matrix_unit

    with matrix_unit(UNITS[chip]):
        yield
