"""`raylax serve` of the demo model's first layers on GPUs that a driver shows and nobody has."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.errors import CompileError
from tests.support.cluster_serving import READY, Serving, serving
from tests.support.cuda_demo import DEMO, first_layers
from tests.support.cuda_fake.machine import environment, make_driver

TEXT = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
Code = Callable[[Path], Path]
"""Makes a model's machine code in a store."""


@contextmanager
def serving_on_gpus(
    directory: Path, store: Path, gpus: int, models: dict[str, dict[str, Any]],
    codes: Sequence[Code], layers: dict[str, int], **told: str,
) -> Iterator[Serving]:  # fmt: skip
    """Until the end of the block. `models`: names and settings; `layers`: how many each has;
    `told`: what the driver is told, as driver.c says. Skips where there is nothing to compile
    with."""
    entries = []
    for name, settings in models.items():
        model = first_layers(directory / name, layers[name])
        for file in TEXT:
            shutil.copy(DEMO / file, model)
        entries.append({"model": str(model), "served_model_name": name, **settings})
    config = directory / "raylax.yaml"
    config.write_text(json.dumps({"device": "cuda", "enable_debug": True, "models": entries}))
    try:
        make_driver(directory)
        made = [code(store) for code in codes]
    except (CompileError, FileNotFoundError) as error:
        pytest.skip(str(error))
    driver = environment(directory, made, RAYLAX_FAKE_GPUS=str(gpus), **told)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**driver, "RAYLAX_STORE": str(store)}.items():
            patch.setenv(name, value)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with serving("--config", str(config)) as cluster:
            cluster.wait_until_it_says(READY)
            yield cluster
