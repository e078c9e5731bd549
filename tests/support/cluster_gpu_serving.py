"""`raylax serve` of the demo model's first layers on GPUs that a driver shows and nobody has."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.errors import CompileError
from tests.support.cluster_serving import READY, Serving, serving
from tests.support.cuda_demo import DEMO, LAYERS, first_layers
from tests.support.cuda_fake.machine import environment, make_driver

TEXT = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@contextmanager
def serving_on_gpus(
    directory: Path,
    store: Path,
    cubins: Callable[[Path], Path],
    settings: dict[str, Any],
    layers: int = LAYERS,
    **told: str,
) -> Iterator[Serving]:
    """Two GPUs, until the end of the block. `cubins`: makes the machine code in the store; `told`:
    what the driver is told, as driver.c says. Skips where there is nothing to compile with."""
    model = first_layers(directory / "model", layers)
    for name in TEXT:
        shutil.copy(DEMO / name, model)
    config = directory / "raylax.yaml"
    config.write_text(json.dumps({"model": str(model), "device": "cuda", **settings}))
    try:
        make_driver(directory)
        made = cubins(store)
    except (CompileError, FileNotFoundError) as error:
        pytest.skip(str(error))
    driver = environment(directory, [made], RAYLAX_FAKE_GPUS="2", **told)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**driver, "RAYLAX_STORE": str(store)}.items():
            patch.setenv(name, value)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with serving("--config", str(config)) as cluster:
            cluster.wait_until_it_says(READY)
            yield cluster
