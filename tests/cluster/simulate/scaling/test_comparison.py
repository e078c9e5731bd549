"""The command: each rule beside who knows the future."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raylax.cluster.cli.commands import app
from raylax.cluster.errors import UserError

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Of a minute."""
    file = tmp_path / "trace.csv"
    rows = (f"2023-11-16 18:15:{at:02}.000,{500 + 40 * at},{20 + at}" for at in range(60))
    file.write_text(HEAD + "\n".join(rows))
    return file


def test_a_row_for_each_rule_and_start(trace: Path) -> None:
    asked = ["replay", str(trace), "--autoscale", "--copies", "2", "--start-s", "2,5", "--json"]
    rows = json.loads(CliRunner().invoke(app, asked).stdout)

    rules = ["oracle", "formula", "thresholds", "ray-serve", "hpa", "fixed"]
    assert [(row["start_s"], row["rule"]) for row in rows] == [
        (start, rule) for start in (2.0, 5.0) for rule in rules
    ]
    assert all(row["ratio"] == 1.0 for row in rows if row["rule"] in ("oracle", "fixed"))
    assert all(row["missed"] == 0.0 for row in rows)


def test_and_as_a_table(trace: Path) -> None:
    asked = ["replay", str(trace), "--autoscale", "--copies", "2", "--start-s", "2"]
    shown = CliRunner().invoke(app, [*asked, "--rules", "formula"]).stdout.splitlines()

    assert shown[0].split() == ["start", "rule", "hours", "ratio", "missed", "turns/h", "starts/h"]
    assert [row.split()[2] for row in shown[1:]] == ["oracle", "formula"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--curve", "round"], "--curve must be one of recorded, flat, steps, ramp, spike, idle, "),
        (["--rules", "best"], "--rules must be all, or some of formula, thresholds, ray-serve"),
        (["--start-s", "0"], "--start-s must be above 0, found 0"),
    ],
)
def test_mistakes_are_named(given: list[str], said: str, trace: Path) -> None:
    result = CliRunner().invoke(app, ["replay", str(trace), "--autoscale", *given])

    assert isinstance(result.exception, UserError)
    assert said in str(result.exception)
