"""What the model that drafts needs beside a rank."""

from dataclasses import replace
from pathlib import Path

import pytest

from raylax.kernels.build import footprint
from raylax.kernels.options import ModelOptions
from raylax.worker.config import EngineConfig, SpeculativeMode
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.needs import draft_needs, draft_options
from raylax.worker.ranks.loading import options_of, plan_rank
from raylax.worker.scheduling.drafting.chain import SPARE
from tests.support.cuda_demo import DEMO
from tests.support.draft_heads import write_head, write_medusa

FILES = {"eagle": ("model.safetensors",), "medusa": ("medusa_lm_head.safetensors",)}


def small(model: Path, **changed: object) -> EngineConfig:
    """A configuration in which a model drafts."""
    return EngineConfig(str(model), speculative_mode="small_draft").complete(**changed)


def test_a_small_model_needs_memory_of_a_gpu_too() -> None:
    """And none for graphs of rows that only its engine has."""
    config, gpu = small(DEMO, additional_models=[DEMO]), ModelOptions(device="cuda", target="sm_90")
    own = footprint(DEMO, draft_options(config, gpu, 64, 4))

    spare = own.workspace + 4 * SPARE * own.page
    assert draft_needs(config, gpu, 64, 4) == replace(own, workspace=spare)


@pytest.mark.parametrize("mode", ["eagle", "medusa"])
def test_heads_need_memory_of_a_gpu_too(
    checkpoint: Path, tmp_path: Path, mode: SpeculativeMode
) -> None:
    """Pages where they have a layer; and residual streams of their base, which it keeps."""
    write = {"eagle": write_head, "medusa": write_medusa}[mode]
    head = write(tmp_path, {"eagle": "eagle-1", "medusa": "medusa"}[mode])
    config = EngineConfig(str(checkpoint), mode="local", speculative_mode=mode)
    named = config.complete(additional_models=[head])
    gpu = replace(options_of(named, "cuda"), target="sm_90")
    needs = draft_needs(named, gpu, 64, 4)
    assert needs is not None

    assert needs.weights > head.joinpath(*FILES[mode]).stat().st_size / 3, "bf16 of float32"
    assert bool(needs.page) == (mode == "eagle")
    assert gpu.taps == ((2,) if mode == "eagle" else ())
    with pytest.raises(ConfigError, match="nothing at /no/where"):
        draft_needs(config.complete(additional_models=["/no/where"]), gpu, 64, 4)


def test_its_quantization_is_called_as_its_own(checkpoint: Path) -> None:
    """And not as the model's."""
    config = small(checkpoint, additional_models=[checkpoint], spec_draft_quantization="q9")
    with pytest.raises(ConfigError, match="^spec_draft_quantization 'q9' is not known"):
        draft_needs(config, ModelOptions(threads=1), 64, 4)


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
