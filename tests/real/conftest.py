"""A model that answers real questions, where it has been fetched."""

from pathlib import Path

import pytest

from tests.support.real_model import lend


@pytest.fixture(scope="session")
def smollm2(store: Path) -> Path:
    """Its GGUF file."""
    if (model := lend(store)) is None:
        pytest.skip("the model is not here: scripts/real_model fetches it")
    return model
