"""A process with a GPU for all tests of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cuda_demo import demo_cubins
from tests.support.cuda_fake.child import FakeMachine


@pytest.fixture(scope="package")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100 of a GiB, with the machine code of the demo model."""
    yield from FakeMachine.with_code(tmp_path_factory.mktemp("driver"), lambda: demo_cubins(store))
