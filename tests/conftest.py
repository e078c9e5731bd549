"""Fixtures shared by the rooms: tiny models, compiled once and kept between runs."""

import gc
import time
from collections.abc import Generator, Iterator
from itertools import groupby
from pathlib import Path

import pytest
import trustme
from hypothesis import settings

from raylax.kernels.store import default_root, forget_unused, make_private
from tests.support.checkpoints import write_checkpoint
from tests.support.cluster_serving import START_S
from tests.support.order import spread

# The same examples every time, so that a change is judged by what it changes. New ones are drawn
# by `pytest --hypothesis-profile=default`.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

KEPT_S = 7 * 24 * 3600
"""An artefact that no test has asked for in this time goes: most are of kernels as they were."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What all files import stays to the end. To look for garbage in it takes a second while they
    are collected, and as long at each full look later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)  # after what was asked for has been chosen
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """File after file, but those that wait for processes of theirs among those that compute: of two
    workers that take the next file each, one then seldom waits while the other does. Those that
    start a cluster have time for that."""
    for item in items:
        if item.get_closest_marker("cluster") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(START_S + 120))
    files = [list(file) for _, file in groupby(items, key=lambda item: item.path)]
    waiting = [file for file in files if any(map(waits, file))]
    computing = [file for file in files if not any(map(waits, file))]
    items[:] = [item for file in spread(waiting, computing) for item in file]


def waits(item: pytest.Item) -> bool:
    return item.get_closest_marker("cluster") is not None or item.nodeid.startswith("tests/bench/")


@pytest.fixture(scope="session", autouse=True)
def store() -> Iterator[Path]:
    """Compiled artefacts outlive the session, and serve all checkouts of a machine: they are named
    by what they were made from. They lie beside the user's own."""
    path = default_root().with_name("raylax-tests")
    make_private(path)
    for kind in path.glob("*/"):
        forget_unused(kind, time.time() - KEPT_S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYLAX_STORE", str(path))
        yield path


@pytest.fixture(scope="session", autouse=True)
def no_gpus() -> Iterator[None]:
    """Whoever says nothing of devices runs on the CPU, also where there is a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Who says nothing of certificates trusts one authority, which has signed nothing. Each client
    of HTTP reads all that it trusts when it is made, also one that will speak without TLS: of a
    machine's hundred and more authorities that takes 65 ms, of one 1.5 ms."""
    file = tmp_path_factory.mktemp("authority") / "authority.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama."""
    return write_checkpoint(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers, seven groups in the MLP, seven panels of the vocabulary, biases: nothing that
    four shards or two stages divide but the heads, and no size that vectors do. Whoever tries ranks
    shares what is compiled."""
    return write_checkpoint(tmp_path_factory.mktemp("uneven"), "hidden-100-dim-80-mlp-biased")
