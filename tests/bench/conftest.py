"""The checkpoint that the benchmarks are tried on."""

from pathlib import Path

import pytest

from tests.support.bench_commands import finished


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Longer sequences than the tests' own checkpoints have."""
    path = tmp_path_factory.mktemp("tiny")
    code, _, errors = finished("checkpoint.py", path)
    assert code == 0, errors
    return path
