"""The verdict on our kernels is found by chip, driver and source, and by nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.cuda.device import verdict
from raylax.kernels.cuda.device.verdict import place, read, write
from raylax.kernels.errors import UntrustedPath

HELD: Mapping[str, Mapping[str, Any]] = {
    "matrix unit": {"ok": True, "differing": 0},
    "products": {"ok": True},
}
HERE = ("sm_90", "580.65.06")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read(*HERE, tmp_path) is None

    write(*HERE, HELD, tmp_path)
    found = read(*HERE, tmp_path)

    assert found is not None and found.ok
    assert found.held == ("matrix unit", "products")


def test_one_check_that_failed_is_enough(tmp_path: Path) -> None:
    write(*HERE, {**HELD, "attention": {"ok": False}}, tmp_path)
    found = read(*HERE, tmp_path)

    assert found is not None and not found.ok
    assert found.failed == ("attention",)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"checks": 3}', '{"checks": {"a": 1}}', "{"])
def test_what_cannot_be_read_is_no_verdict_to_rely_on(tmp_path: Path, text: str) -> None:
    write(*HERE, HELD, tmp_path).write_text(text)
    found = read(*HERE, tmp_path)

    assert found is not None and not found.ok


@pytest.mark.parametrize("ok", [1, "true", None])
def test_only_true_is_true(tmp_path: Path, ok: object) -> None:
    write(*HERE, {"products": {"ok": ok}}, tmp_path)
    found = read(*HERE, tmp_path)

    assert found is not None and not found.ok


def test_another_chip_driver_or_source_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(*HERE, HELD, tmp_path)

    assert read("sm_80", HERE[1], tmp_path) is None
    assert read(HERE[0], "581.0", tmp_path) is None
    monkeypatch.setattr(verdict, "source", lambda: "f" * 32)
    assert read(*HERE, tmp_path) is None


def test_one_that_anybody_could_have_written_is_not_believed(tmp_path: Path) -> None:
    """It makes a cluster run code that nobody has asked for."""
    write(*HERE, HELD, tmp_path)
    place(*HERE, tmp_path).parent.chmod(0o777)

    with pytest.raises(UntrustedPath):
        read(*HERE, tmp_path)
