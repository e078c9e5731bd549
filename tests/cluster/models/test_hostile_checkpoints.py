"""A checkpoint is anybody's: whatever its files say, a start's checks end, in one line or none."""

import json
import os
import random
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.checks import check_models, precision_lost
from raylax.cluster.models.lookup import find_models
from raylax.cluster.models.memory import plan_engines

WITHIN_S = 5.0
FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json",
         "special_tokens_map.json")  # fmt: skip
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
VALUES: list[Any] = [
    None, True, "", "x", "\0", "\ud800", "../..", -1, 0, 1, 1.5, 2**31, 2**63, 10**400, -(10**400),
    1e308, float("nan"), float("inf"), [], [[]], [None], {}, {"": {}}, {"a": [1]}, "x" * 100_000,
]  # fmt: skip
SEEDS = range(4)
PER_SEED = 20


def checked(path: Path) -> str:
    """What the checks of a start say of a model; "" if it can be served. Anything but a line of
    text, or a long silence, fails the test."""
    begun = time.process_time()
    said = ""
    try:
        models = find_models(ClusterConfig.model_validate({"model": str(path)}))
        check_models(models)
        plan_engines(models)
        for model in models:
            precision_lost(model)
    except UserError as error:
        said = str(error)
        assert said and "Traceback" not in said and len(said) < 2000
        said.encode()  # so that a terminal can show it
    assert time.process_time() - begun < WITHIN_S
    return said


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to every value inside of one."""
    yield path
    if isinstance(value, (dict, list)):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """The same value, with another one in one place."""
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def spoilt_json(path: Path, rng: random.Random) -> None:
    """One or two values of one file are others."""
    file = path / rng.choice([name for name in FILES if (path / name).exists()])
    table = json.loads(file.read_text())
    for _ in range(rng.choice([1, 1, 2])):
        where = rng.choice(list(places(table)))
        table = replaced(table, where, rng.choice(VALUES))
    file.write_text(json.dumps(table))


def spoilt_header(path: Path, rng: random.Random) -> None:
    """A value in the header of the weights is another one, or its length."""
    file = path / WEIGHTS
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header = replaced(header, rng.choice(list(places(header))), rng.choice(VALUES))
    text = json.dumps(header).encode()
    said = rng.choice([len(text)] * 4 + [0, len(text) - 3, 2**63, 2**40])
    file.write_bytes(struct.pack("<Q", said) + text + data[8 + length :])


def spoilt_index(path: Path, rng: random.Random) -> None:
    """An index in place of the one file, with a value that is another one."""
    os.replace(path / WEIGHTS, path / "part.safetensors")
    table = {"metadata": {}, "weight_map": {"model.norm.weight": "part.safetensors"}}
    where = rng.choice(list(places(table)))
    (path / INDEX).write_text(json.dumps(replaced(table, where, rng.choice(VALUES))))


def spoilt_bytes(path: Path, rng: random.Random) -> None:
    """Some bytes of a file are others, or its end is missing."""
    file = path / rng.choice([*(name for name in FILES if (path / name).exists()), WEIGHTS])
    data = bytearray(file.read_bytes())
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    for _ in range(rng.choice([1, 3, 10]) if data else 0):
        data[rng.randrange(min(len(data), 4000))] = rng.randrange(256)
    file.write_bytes(data)


SPOIL: list[Callable[[Path, random.Random], None]] = [
    spoilt_json, spoilt_json, spoilt_json, spoilt_header, spoilt_index, spoilt_bytes,
]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_a_checkpoint_says_is_served_or_refused_in_a_line(
    seed: int, checkpoint: Path, tmp_path: Path
) -> None:
    rng, refused = random.Random(seed), 0
    for number in range(PER_SEED):
        path = Path(shutil.copytree(checkpoint, tmp_path / str(number)))
        rng.choice(SPOIL)(path, rng)
        refused += bool(checked(path))
        shutil.rmtree(path)

    assert refused


def test_an_id_that_would_be_counted_up_to_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    table = json.loads((path / "tokenizer.json").read_text())
    table["model"]["vocab"]["B"] = 2**31
    (path / "tokenizer.json").write_text(json.dumps(table))

    assert checked(path).endswith("ids of tokens may be at most 16777215, found 2147483648")


@pytest.mark.parametrize("dtype", [["F32"], {}, None, 1])
def test_a_dtype_that_is_no_text_is_refused(dtype: Any, checkpoint: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    header = json.dumps({"x": {"dtype": dtype, "shape": [1], "data_offsets": [0, 4]}}).encode()
    (path / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + b"0000")

    assert checked(path).endswith("tensor x: the header is not valid")
