"""Flags made from the schema: what is typed is what the configuration holds."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from raylax.cluster.cli.flags import help_of, kind_of, settings, with_flags
from raylax.cluster.config.reading import read_config
from raylax.cluster.config.schema import ClusterConfig


def typed(*arguments: str) -> dict[str, Any]:
    """What a command with a flag for every setting hears; the others are None."""
    heard: dict[str, Any] = {}
    app = typer.Typer()

    @app.command()
    @with_flags(*settings(), argument="model")
    def command(mine: bool = False, **flags: Any) -> None:
        heard.update(flags, mine=mine)

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return {name: value for name, value in heard.items() if value is not None}


def test_what_is_not_typed_is_left_to_the_file() -> None:
    assert typed() == {"mine": False}


def test_what_is_typed_has_the_type_of_its_setting() -> None:
    """Beside the command's own options; the file can hold more."""
    flags = typed(
        "checkpoint", "--mine", "--port", "8001", "--enable-debug", "--gpus-per-rank", "0.5",
        "--mode", "local", "--tls-key", "key.pem",
    )  # fmt: skip

    assert flags == {
        "mine": True,
        "model": "checkpoint",
        "port": 8001,
        "enable_debug": True,
        "gpus_per_rank": 0.5,
        "mode": "local",
        "tls_key": Path("key.pem"),
    }


@pytest.mark.parametrize("name", settings())
def test_the_help_of_a_flag_says_what_it_is_and_its_default(name: str) -> None:
    field = ClusterConfig.model_fields[name]
    text = help_of(field)

    assert text.endswith(".")
    assert (f"({field.default})" in text) == (field.default not in (None, False))


def test_a_flag_is_what_one_word_can_say() -> None:
    """Sections, lists and tables are for a file."""
    others = ClusterConfig.model_fields.keys() - set(settings())

    assert others == {
        "models", "aliases", "keys", "allowed_hosts", "cors_origins", "limits", "autoscaling",
        "engine", "schedule",
    }  # fmt: skip
    assert kind_of(int | None) is int
    assert kind_of(dict[str, Any]) is None


def test_flags_are_what_the_configuration_takes() -> None:
    flags = typed("m", "--max-replicas", "3")
    del flags["mine"]

    assert read_config(None, flags).max_replicas == 3
