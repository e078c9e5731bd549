"""`bench/router.py`: the router and the engines alone, and a rival that cannot start."""

import json
from pathlib import Path

import pytest

from tests.support.bench_commands import finished, peer

QUICK = ("--engines", 2, "--step-ms", 1, "--concurrency", 2, "--seconds", 0.2, "--rounds", 1)


def test_the_router_is_measured_beside_its_engines(tmp_path: Path) -> None:
    """Every answer is whole; what it adds and what a core of it does follow from the figures."""
    written = tmp_path / "figures.json"
    options = ("--routers", 1, "--modes", "plain", "stream", "--tokens", 8, "--json", written)
    code, out, errors = finished("router.py", *QUICK, *options)
    assert (code, errors) == (0, "")

    ((result),) = json.loads(written.read_text())
    rows = {(row["mode"], row["target"]): row for row in result["rows"]}
    assert list(rows) == [
        ("plain", "direct"), ("plain", "raylax"), ("stream", "direct"), ("stream", "raylax")
    ]  # fmt: skip
    for (mode, target), row in rows.items():
        assert row["errors"] == []
        assert row["tokens_per_s"] == pytest.approx(8 * row["requests_per_s"])
        assert row["first_p50"] <= row["p50"] <= row["p99"]
        assert row["p50"] >= 8  # steps of a millisecond
        assert row["added_p50"] == pytest.approx(row["p50"] - rows[mode, "direct"]["p50"])
        assert f"{row['p50']:.1f}" in out
        assert target == "direct" or row["cores"] > 0


def test_a_rival_that_does_not_start(tmp_path: Path) -> None:
    """Is named, with its own last words, and everything else is ended."""
    python = peer(tmp_path / "python", "echo Error: no module named sglang_router >&2; exit 1")
    code, out, errors = finished("router.py", *QUICK, "--sglang", python)

    assert (code, out) == (1, "")
    assert errors == "sglang: Error: no module named sglang_router\n"
