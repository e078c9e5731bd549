"""One rank: weights and pages, and the step plans it is given. It keeps no other state (law 4)."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from raylax.kernels.build import ModelOptions, Progress, build, footprint
from raylax.kernels.errors import KernelsError
from raylax.kernels.model import Model, StepOutput, load_model
from raylax.worker.config import EngineConfig, Mode, Sizes
from raylax.worker.cores import usable_cores
from raylax.worker.errors import ConfigError
from raylax.worker.plan import StepPlan
from raylax.worker.sizing import CPU_SHARE, Memory, available_memory, infer


class Rank:
    """Runs plans. Only the engine thread may call it: TVM's thread pool belongs to a thread."""

    def __init__(self, model: Model, index: int = 0, world_size: int = 1) -> None:
        self.model, self.index, self.world_size = model, index, world_size

    def run(self, plan: StepPlan) -> StepOutput:
        return self.model.step(**plan.arguments())

    def describe(self) -> dict[str, Any]:
        """What `raylax.debug.rank` answers."""
        return {
            "rank": self.index,
            "world_size": self.world_size,
            "pid": os.getpid(),
            "device": self.model.options.device,
            "vocab": self.model.spec.vocab,
        }


def plan_rank(
    checkpoint: Path, device: str, mode: Mode, config: EngineConfig
) -> tuple[ModelOptions, Sizes]:
    """How the model is built and how much it may hold. Raises ConfigError, KernelsError."""
    threads = config.threads or usable_cores()
    options = ModelOptions(config.quantization, config.kv_dtype, device, threads=threads)
    needs = footprint(checkpoint, options)
    memory = Memory(
        available_memory(),
        needs.weights,
        needs.workspace,
        needs.page,
        needs.most_pages,
        needs.spec.max_positions,
    )
    sizes = infer(config, mode, memory)
    capacities = replace(
        options,
        max_step_tokens=sizes.prefill_chunk_size,
        max_step_rows=sizes.max_num_sequence,
        max_sequence_length=sizes.max_single_sequence_length,
    )
    return capacities, sizes


def build_rank(
    checkpoint: Path, device: str, mode: Mode, config: EngineConfig, progress: Progress
) -> None:
    """Everything that `load_rank` will need, made in the store; nothing is loaded."""
    options, sizes = plan_rank(checkpoint, device, mode, config)
    build(checkpoint, options, sizes.pages, progress=progress)


def load_rank(
    checkpoint: Path, device: str, mode: Mode, config: EngineConfig, progress: Progress
) -> tuple[Rank, EngineConfig, Sizes]:
    """Size, build and load; the config comes back complete. Raises ConfigError, KernelsError."""
    options, sizes = plan_rank(checkpoint, device, mode, config)
    model = load_model(checkpoint, options, sizes.pages, progress=progress)
    if config.model_lib not in (None, model.library):
        raise ConfigError(
            f"model_lib must be what this model compiles to, {model.library}, "
            f"found {config.model_lib}; leave it out"
        )
    complete = config.complete(
        model=str(checkpoint),
        model_lib=model.library,
        mode=mode,
        tensor_parallel_shards=1,
        pipeline_parallel_stages=1,
        gpu_memory_utilization=config.gpu_memory_utilization or CPU_SHARE,
        max_num_sequence=sizes.max_num_sequence,
        max_total_sequence_length=sizes.max_total_sequence_length,
        max_single_sequence_length=sizes.max_single_sequence_length,
        prefill_chunk_size=sizes.prefill_chunk_size,
        sliding_window_size=0,
        attention_sink_size=0,
        max_history_size=0,
        kv_state_kind="kv_cache",
        prefix_cache_max_num_recycling_seqs=0,
        opt="O0",
        quantization=model.quantization,
        kv_dtype=model.kv_dtype,
        threads=options.threads,
    )
    return Rank(model), complete, sizes


START_ERRORS = (ConfigError, KernelsError, MemoryError)
"""What is the user's to mend."""
