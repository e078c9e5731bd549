"""A machine with a GPU that it does not have, and machine code for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.options import silent
from raylax.kernels.store import Store
from tests.support.cuda_fake.child import FakeMachine
from tests.support.cuda_scaled import EARLY, SCALED


@pytest.fixture(scope="session")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100 of a GiB. Skips without Triton or a C compiler."""
    yield from FakeMachine.with_code(
        tmp_path_factory.mktemp("driver"),
        lambda: cubins_for([SCALED, EARLY], CHIPS[90], Store(store), silent),
    )
