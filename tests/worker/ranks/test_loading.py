"""The sizes of a rank, by the footprint of what it will be."""

from pathlib import Path

import pytest

from raylax.kernels.build import footprint
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.loading import plan_rank
from tests.support.checkpoints import write_checkpoint


def test_the_workspace_is_counted_for_the_chunk_that_is_asked_for(tmp_path: Path) -> None:
    """Memory that holds a step of 512 tokens and not one of 16,384 is refused for the latter."""
    checkpoint = write_checkpoint(tmp_path)
    small = EngineConfig(model=str(checkpoint), mode="local")
    large = small.complete(prefill_chunk_size=16_384, max_num_sequence=512)
    options, _ = plan_rank(small, "cpu")
    room = 2 * (footprint(checkpoint, options).workspace + footprint(checkpoint, options).weights)

    plan_rank(small, "cpu", room)
    with pytest.raises(ConfigError, match="the steps are too large: the workspace of 16384 tok"):
        plan_rank(large, "cpu", room)
