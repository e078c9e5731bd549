"""A disk that fills up while a model is compiled and packed: a line that says what is needed."""

import errno
import os
from pathlib import Path

import pytest

from raylax.kernels.build import build
from raylax.kernels.cpu.artefacts import LIBRARY_BYTES, Artefacts
from raylax.kernels.cpu.weights import reserve
from raylax.kernels.options import ModelOptions
from raylax.kernels.store import Store

OPTIONS = ModelOptions("q0f32", max_step_tokens=64, max_step_rows=8, max_sequence_length=64)


class Disk:
    """Has so many bytes left, whatever is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free = free
        monkeypatch.setattr("shutil.disk_usage", lambda path: self)
        monkeypatch.setattr("os.posix_fallocate", self.reserve)

    def reserve(self, file: int, at: int, size: int) -> None:
        if size > self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(file, size)


def test_the_place_for_weights_is_there_before_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file would have the process killed when its disk is full: so this one is none."""
    reserve(tmp_path / "weights", 3 << 20)
    there = (tmp_path / "weights").stat()
    assert (there.st_size, there.st_blocks * 512 >= 3 << 20) == (3 << 20, True)

    Disk(monkeypatch, 1 << 20)
    with pytest.raises(OSError, match="3 MiB are needed, 1 MiB are free") as raised:
        reserve(tmp_path / "more", 3 << 20)
    assert raised.value.filename == str(tmp_path)
    assert not (tmp_path / "more").exists()


def test_a_disk_that_fills_while_it_is_compiled(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is half made is found by the next one."""
    disk = Disk(monkeypatch, 1 << 40)

    def fill(stage: str, fraction: float) -> None:
        if stage.startswith("compile"):
            disk.free = LIBRARY_BYTES - 1

    with pytest.raises(OSError, match="8 MiB are needed") as raised:
        build(checkpoint, OPTIONS, 16, tmp_path, fill)
    assert raised.value.errno == errno.ENOSPC

    program = Artefacts(checkpoint, OPTIONS, tmp_path, fill).program
    assert Store(tmp_path).find("library", program.library_key) is None
    assert not list((tmp_path / "library").glob("*/"))
