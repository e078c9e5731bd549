"""What long prompts do to a stream, as a command."""

import json
from pathlib import Path

import pytest

from tests.support.bench_commands import finished


def test_each_target_has_a_row_for_each_load(tiny: Path, tmp_path: Path) -> None:
    """The quiet stream, the stream beside prompts, and a busy engine; before and after in turns."""
    file = tmp_path / "found.json"
    loads = ("--chunks", 64, "--beside", 1, 2, "--prompt", 400)
    code, out, errors = finished("stall.py", tiny, *loads, "--json", file)
    rows = json.loads(file.read_text())

    assert code == 0, errors
    assert [(row["target"], row["beside"]) for row in rows] == [
        (target, beside) for beside in (0, 1, 2, None) for target in ("0.0", "auto")
    ]
    assert all(row["to_first"] == 1.0 for row in rows if row["target"] == "0.0" and row["cost"])
    assert all(0 < row["median_ms"] <= row["most_ms"] for row in rows if row["beside"] is not None)
    assert all(0 < row["first_s"] <= row["last_s"] for row in rows if row["beside"])
    assert "2 long" in out and "busy" in out


@pytest.mark.parametrize("target", ["-1", "soon", "nan"])
def test_a_target_that_is_none_is_refused_in_a_line(tiny: Path, target: str) -> None:
    code, out, errors = finished("stall.py", tiny, f"--targets={target}")

    assert code == 2 and not out
    assert errors.strip().splitlines()[-1].endswith(f"0 or more, found {target}")
