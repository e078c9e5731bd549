"""`bench/load.py`: a checkpoint is loaded twice, from the disk and from the page cache."""

import re
from pathlib import Path

from tests.support.bench_commands import finished
from tests.support.gguf_files import write_gguf


def test_a_load_is_timed_beside_plain_reading(tmp_path: Path) -> None:
    """Nothing of it stays."""
    write_gguf(tmp_path / "made")
    work = tmp_path / "work"
    work.mkdir()

    file = tmp_path / "made" / "model.gguf"
    code, out, errors = finished("load.py", file, "--directory", work)

    assert (code, errors) == (0, "")
    rows = re.findall(r"^ +((?:first|next), (?:disk|cache)) +\d +\d +[\d.]+ ", out, re.M)
    assert rows == ["first, disk", "next, disk", "first, cache", "next, cache"]
    assert "model.gguf, q0f32" in out
    assert not list(work.iterdir())
