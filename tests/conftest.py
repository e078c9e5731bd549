"""Fixtures shared by the rooms: tiny models, compiled once and kept between runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints import write_checkpoint


@pytest.fixture(scope="session", autouse=True)
def store(pytestconfig: pytest.Config) -> Iterator[Path]:
    """Compiled artefacts outlive the session: they are named by what they were made from."""
    cache = pytestconfig.cache
    assert cache is not None
    path = Path(cache.mkdir("raylax-store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYLAX_STORE", str(path))
        yield path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama."""
    return write_checkpoint(tmp_path_factory.mktemp("llama"))
