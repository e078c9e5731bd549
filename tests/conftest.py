"""Fixtures shared by the rooms: tiny models, compiled once and kept between runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.checkpoints import write_checkpoint

# The same examples every time, so that a change is judged by what it changes. New ones are drawn
# by `pytest --hypothesis-profile=default`.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def store(pytestconfig: pytest.Config) -> Iterator[Path]:
    """Compiled artefacts outlive the session: they are named by what they were made from."""
    cache = pytestconfig.cache
    assert cache is not None
    path = Path(cache.mkdir("raylax-store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYLAX_STORE", str(path))
        yield path


@pytest.fixture(scope="session", autouse=True)
def no_gpus() -> Iterator[None]:
    """Whoever says nothing of devices runs on the CPU, also where there is a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama."""
    return write_checkpoint(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers, five groups in the MLP, seven panels of the vocabulary, biases: nothing that
    four shards or two stages divide but the heads. Whoever tries ranks shares what is compiled."""
    path = tmp_path_factory.mktemp("uneven")
    sizes = {"num_hidden_layers": 3, "intermediate_size": 160, "vocab_size": 200}
    return write_checkpoint(path, "llama3-untied-biased", **sizes)
