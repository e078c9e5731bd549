"""Processes to be ranks."""

from collections.abc import Iterator

import pytest

from tests.support.comm_groups import Pool


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()
