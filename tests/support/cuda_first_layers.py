"""The demo model's first layers on a driver without a GPU, one model for all tests of a process."""

import os
from functools import cache
from pathlib import Path

from raylax.kernels.cuda.build import load_on_device
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.options import ModelOptions
from tests.support.cuda_demo import first_layers
from tests.support.cuda_fake.machine import cubins_here

PAGES = 24


def options(device: str) -> ModelOptions:
    library = None if device == "cpu" else str(*cubins_here())
    return ModelOptions("auto", "auto", device, None, 2, 128, 64, 256, library=library)


@cache
def model() -> Path:
    """In the directory of the process with GPUs, which goes with it."""
    return first_layers(Path(os.environ["LD_LIBRARY_PATH"]) / "model")


@cache
def on_gpu() -> DeviceModel:
    return load_on_device(model(), options("cuda:0"), PAGES)
