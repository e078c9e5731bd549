"""Files that lie are refused in a line, or read: `bench/fuzz/readers.py`, for a few seconds."""

from pathlib import Path

import pytest

from raylax.kernels.errors import CheckpointError
from tests.support.fuzz.readers import Finding, one
from tests.support.fuzz.seeds import SEEDS

CASES = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("lying"))


@pytest.mark.parametrize("name", SEEDS)
def test_each_is_read_or_refused_in_a_line(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bounded memory; the same cases in every run."""
    monkeypatch.setenv("RAYLAX_STORE", str(root / "store"))

    found = [one(root, name, number) for number in range(CASES)]

    assert [finding for _, finding in found if finding] == list[Finding]()
    assert any(said for said, _ in found)


def test_what_a_file_calls_itself_cannot_move_the_cursor() -> None:
    """Nor make a line of any length."""
    said = str(CheckpointError("tensor a\r\n\x1b[2J\u202e" + "x" * 100_000 + ": is missing"))

    assert said.startswith(r"tensor a\r\n\x1b[2J\u202exxx") and said.endswith("xxx: is missing")
    assert said.isprintable() and len(said) < 2100
