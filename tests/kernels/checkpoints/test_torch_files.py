"""What torch has saved is read without torch, and nothing that it names is run."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.checkpoints.torch_files import read_torch_file
from raylax.kernels.errors import CheckpointError
from tests.support.checkpoints import write_checkpoint
from tests.support.paths import GOLDENS
from tests.support.rows import same_by_rows
from tests.support.torch_files import write_torch_file

SAVED = GOLDENS / "torch.bin"
ENTRY = "torch/data.pkl"


def test_what_torch_has_saved_is_what_is_read() -> None:
    """Transposed and cut tensors, parameters, one that is there twice."""
    found = read_torch_file(SAVED)

    with np.load(GOLDENS / "torch.npz") as want:
        for name in want.files:
            assert np.array_equal(found[name].read(), want[name]), name
            same_by_rows(found[name].read, name)
        assert np.array_equal(found["tied"].read(), want["a"])
    assert {name: found[name].precision for name in "abcn"} == {
        "a": "float32", "b": "float16", "c": "bfloat16", "n": "int64"
    }  # fmt: skip


@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_of_such_files_is_as_one_of_safetensors(shards: int, tmp_path: Path) -> None:
    """In one file, or in several with an index."""
    want = open_checkpoint(write_checkpoint(tmp_path / "want"))
    other = write_checkpoint(tmp_path / "other", shards=shards)
    for file in other.glob("*.safetensors"):
        saved = file.with_name(file.name.replace("model", "pytorch_model")).with_suffix(".bin")
        write_torch_file(saved, load_file(file))
        file.unlink()
    if shards > 1:
        index = other / "model.safetensors.index.json"
        text = index.read_text().replace("model-", "pytorch_model-")
        index.unlink()
        other.joinpath("pytorch_model.bin.index.json").write_text(
            text.replace(".safetensors", ".bin")
        )

    found = open_checkpoint(other)

    for name in want.tensors:  # type: ignore[attr-defined]
        assert np.array_equal(found.tensor(name), want.tensor(name))


class Bomb:
    """What a pickle can do to who believes it."""

    def __init__(self, run: Any, *given: Any) -> None:
        self._what = run, given

    def __reduce__(self) -> Any:
        return self._what


def changed(directory: Path, pickled: bytes) -> Path:
    """The golden file with another pickle."""
    path = directory / "changed.bin"
    with zipfile.ZipFile(SAVED) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, pickled if info.filename == ENTRY else old.read(info))
    return path


@pytest.mark.parametrize("run", [os.system, eval, __import__, getattr, pickle.loads])
def test_code_is_named_and_not_run(run: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = changed(tmp_path, pickle.dumps({"x": Bomb(run, f"touch {ran}")}, 2))

    with pytest.raises(CheckpointError, match=r"wants to run \S+, which no weights need"):
        read_torch_file(path)
    assert not ran.exists()


def test_a_file_of_before_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "old.bin").write_bytes(pickle.dumps({"x": 1}, 2))

    with pytest.raises(CheckpointError, match="not a zip, as torch.save has written since 1.6"):
        read_torch_file(tmp_path / "old.bin")


def test_a_compressed_entry_is_refused(tmp_path: Path) -> None:
    """It could not be mapped, and might be far larger than it seems."""
    path = tmp_path / "small.bin"
    with zipfile.ZipFile(SAVED) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))

    with pytest.raises(CheckpointError, match=r"torch/data/\d is compressed"):
        read_torch_file(path)


@pytest.mark.parametrize("how", ["content", "method", "password"])
def test_an_entry_that_cannot_be_read_is_said_to_be(how: str, tmp_path: Path) -> None:
    """Of any way that a zip may be made."""
    path = tmp_path / "odd.bin"
    with zipfile.ZipFile(SAVED) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(ENTRY, old.read(ENTRY))
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    if how == "content":
        content[30 + len(ENTRY) : 40 + len(ENTRY)] = b"\xff" * 10
    elif how == "method":
        content[central + 10 : central + 12] = (99).to_bytes(2, "little")
    else:
        content[central + 8] |= 1
        content[6] |= 1
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match="an entry of the zip is damaged: "):
        read_torch_file(path)


@settings(max_examples=200)
@given(at=st.integers(0, 700), put=st.binary(min_size=1, max_size=6))
def test_a_pickle_may_say_anything(
    tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes
) -> None:
    """Either there are tensors, of no more bytes than the file, or a line says why not."""
    with zipfile.ZipFile(SAVED) as archive:
        content = archive.read(ENTRY)
    path = changed(tmp_path_factory.getbasetemp(), content[:at] + put + content[at + len(put) :])
    try:
        found = read_torch_file(path)
    except CheckpointError as error:
        assert "\n" not in str(error)
        return
    assert all(one.read().nbytes <= 8 * path.stat().st_size for one in found.values())
