"""`bench/tp.py`: ranks beside one of them, and where a step's time goes."""

import json
from pathlib import Path

import pytest

from tests.support.bench_commands import finished


def test_shards_are_measured_beside_one_rank(tiny: Path) -> None:
    """The parts of a step are all of it."""
    written = tiny / "ranks.json"
    options = ("--quantization", "q0bf16", "--rounds", 1, "--concurrency", 2, "--json", written)
    code, out, errors = finished("tp.py", tiny, *options)
    assert (code, errors) == (0, "")

    ((result),) = json.loads(written.read_text())
    assert [row["load"] for row in result["rows"]] == ["prefill 512", "decode c=2"]
    for row in result["rows"]:
        assert row["compute"] + row["meet"] + row["plan"] == pytest.approx(1)
        assert 0 < row["meet"] < 1
        assert f"{row['several'] / row['one']:.2f}" in out
