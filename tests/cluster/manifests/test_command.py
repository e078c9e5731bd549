"""`raylax manifests`, as it is typed."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from raylax.cluster.cli.commands import app
from raylax.cluster.cli.main import main
from raylax.cluster.errors import UserError

KINDS = ["RayService", "Service", "NetworkPolicy", "PodMonitor"]


def test_all_resources_are_one_text_for_kubectl() -> None:
    shown = CliRunner().invoke(app, ["manifests", "--namespace", "llm"])
    resources = list(yaml.safe_load_all(shown.output))

    assert [one["kind"] for one in resources] == [*KINDS, *["PodDisruptionBudget"] * 2]
    assert {one["metadata"]["namespace"] for one in resources} == {"llm"}


def test_a_chart_is_a_directory(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["manifests", "--helm", "--output", str(tmp_path / "chart")])

    assert (tmp_path / "chart" / "Chart.yaml").exists()
    assert (tmp_path / "chart" / "templates" / "ray-service.yaml").exists()


def test_a_chart_must_be_put_somewhere() -> None:
    shown = CliRunner().invoke(app, ["manifests", "--helm"])

    assert isinstance(shown.exception, UserError)
    assert str(shown.exception).startswith("--helm makes a chart of several files")


def test_a_place_where_nothing_can_be_written() -> None:
    shown = CliRunner().invoke(app, ["manifests", "--output", "/dev/null/x"])

    assert str(shown.exception) == "--output /dev/null/x: cannot be written: Not a directory"


def test_what_cannot_work_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "raylax.yaml"
    file.write_text("port: 8080\nmodel: ./here\n")
    monkeypatch.setattr("sys.argv", ["raylax", "manifests", "--config", str(file)])
    with pytest.raises(SystemExit):
        main()

    said = f"error: {file}:1: port: Ray has this port in every pod (metrics): another one, found"
    assert capsys.readouterr().err.splitlines() == [f"{said} 8080"]
