"""What the model that drafts needs beside a rank."""

from pathlib import Path

import pytest

from raylax.kernels.options import ModelOptions
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.needs import draft_needs
from raylax.worker.ranks.loading import plan_rank


def small(model: Path, **changed: object) -> EngineConfig:
    """A configuration in which a model drafts."""
    return EngineConfig(str(model), speculative_mode="small_draft").complete(**changed)


def test_nothing_drafts_on_a_gpu(checkpoint: Path) -> None:
    """Which changes no token; what is asked for is looked for all the same."""
    config, gpu = small(checkpoint, additional_models=[checkpoint]), ModelOptions(device="cuda:0")
    assert draft_needs(config, ModelOptions(), 64, 4) is not None
    assert draft_needs(config, gpu, 64, 4) is None
    with pytest.raises(ConfigError, match="nothing at /no/where"):
        draft_needs(small(checkpoint, additional_models=["/no/where"]), gpu, 64, 4)


def test_its_memory_counts(checkpoint: Path) -> None:
    """So there are fewer pages in the same memory."""
    room, sizes = 40 << 20, {"max_num_sequence": 2, "max_single_sequence_length": 64}
    drafting = small(checkpoint, mode="server", kv_cache_bytes=1 << 17, **sizes).complete(
        additional_models=[str(checkpoint)]
    )
    alone = drafting.complete(additional_models=(), speculative_mode="ngram")
    _, beside = plan_rank(drafting, "cpu", room)
    _, without = plan_rank(alone, "cpu", room)

    assert beside.pages == without.pages // 2
