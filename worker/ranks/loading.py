"""From an engine's configuration to sizes, artefacts, and a rank that can run."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from raylax.kernels.build import Footprint, build, footprint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.cubins.facts import LISTED
from raylax.kernels.errors import KernelsError
from raylax.kernels.model import Model
from raylax.kernels.options import IN_MEMORY, ModelOptions, ProgressCallback
from raylax.kernels.shards import Degree
from raylax.proto.text.files import TextFiles
from raylax.worker.comm.errors import CommError
from raylax.worker.comm.nccl import library as nccl
from raylax.worker.config import ECHO, EngineConfig, Sizes
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.cores import usable_cores
from raylax.worker.hardware.devices import memory_of
from raylax.worker.hardware.memory import total_memory
from raylax.worker.opt_flags import graphs_of, in_effect
from raylax.worker.ranks.drafts.loading import build_draft
from raylax.worker.ranks.drafts.needs import draft_needs, taps_of
from raylax.worker.sizing import (
    LEAST_TOKENS,
    ON_CPU,
    ON_GPU,
    Memory,
    Usual,
    infer,
    most_of_a_step,
)

START_ERRORS = (ConfigError, KernelsError, MemoryError)
"""What keeps a model from loading that the user can mend."""
SWAP_PART = 8
"""One in so many bytes of the KV cache may be kept besides of requests that give way, where nothing
is said."""


def degree_of(config: EngineConfig) -> Degree:
    """Into how many shards and stages the model is cut: one of each where nothing is said."""
    return Degree(config.tensor_parallel_shards or 1, config.pipeline_parallel_stages or 1)


class RankNeeds(NamedTuple):
    """What a rank will hold, before it is built."""

    sizes: Sizes
    footprint: Footprint

    @property
    def pages(self) -> int:
        """Bytes of its KV cache."""
        return self.sizes.pages * self.footprint.page


def plan_rank(
    config: EngineConfig, device: str, available: int | None = None
) -> tuple[ModelOptions, Sizes]:
    """How each rank is built, and the sizes that fit.

    `config` names its model and its mode; `available`: bytes that there are for a rank, None for
    its part of this machine's memory. Raises ConfigError, KernelsError.
    """
    options = options_of(config, device)
    if available is None:
        available = room_of_a_rank(config, device)
    sizes = fit(config, options, available).sizes
    capacities = replace(
        options,
        max_step_tokens=sizes.prefill_chunk_size,
        max_step_rows=sizes.step_rows,
        max_sequence_length=sizes.max_single_sequence_length,
    )
    return capacities, sizes


def options_of(config: EngineConfig, device: str) -> ModelOptions:
    """How each rank is built, but for its capacities. Raises ConfigError."""
    degree = degree_of(config)
    threads = config.threads or max(1, usable_cores() // degree.ranks)
    options = ModelOptions(
        config.quantization,
        config.kv_dtype,
        device,
        threads=threads,
        degree=degree,
        window=config.sliding_window_size or 0,
        sinks=config.attention_sink_size or 0,
    )
    taps = (*taps_of(config), *last_tap(config))
    if options.on_gpu:
        check_gpu_ranks(config, degree)
        return replace(
            options,
            taps=taps,
            library=config.model_lib,
            overlap_launches=config.overlap_launches,
            graphs=graphs_of(config.opt),
        )
    check_library(config.model_lib)
    return replace(options, library=given_library_of(config.model_lib), taps=taps)


def pooling_of(config: EngineConfig) -> Literal["last", "mean", "cls"]:
    """Whose state an embedding is. A checkpoint that means another one has no embeddings: routers
    say so. Raises KernelsError, OSError, ValueError."""
    if config.model_lib == ECHO:
        return "last"
    return TextFiles(open_checkpoint(config.checkpoint).text).pooling(config.pooling).how


def last_tap(config: EngineConfig) -> tuple[int, ...]:
    """What the last layer comes to, if vectors are made of more than the last row. Raises
    ConfigError."""
    if (how := pooling_of(config)) == "last":
        return ()
    if degree_of(config).pipeline > 1:
        raise ConfigError(
            f"pooling={how!r} needs the last layer on rank 0, found "
            f"pipeline_parallel_stages={config.pipeline_parallel_stages}"
        )
    if taps_of(config):
        raise ConfigError(
            f"pooling={how!r} reads what speculative_mode={config.speculative_mode!r} would: one "
            "of them must be left out"
        )
    return (open_checkpoint(config.checkpoint).spec.layers,)


def check_gpu_ranks(config: EngineConfig, degree: Degree) -> None:
    """Raises ConfigError for ranks that could not meet: NCCL knows no two of them on one GPU."""
    if degree.ranks == 1:
        return
    if config.gpus_per_rank != 1:
        raise ConfigError(
            f"gpus_per_rank must be 1 where {degree.ranks} ranks share a model, found "
            f"{config.gpus_per_rank:g}: each needs a GPU of its own"
        )
    try:
        nccl.library()
    except CommError as error:
        raise ConfigError(f"ranks on GPUs need NCCL: {error}") from None


def free_of(config: EngineConfig, device: str) -> int:
    """Bytes that are free there now, and that an engine may take. Raises ConfigError."""
    return memory_of(device, config.gpus_per_rank, config.gpu_memory_utilization)


def room_of_a_rank(config: EngineConfig, device: str) -> int:
    """Bytes that there are for it: of a GPU, of which each rank has one, or of the machine's memory
    its share. Who was told how many its cache may take does not ask what is free while others load:
    it must come to the same sizes whenever it starts. Raises ConfigError."""
    if device.startswith("cuda"):
        return free_of(config, device)
    told = config.kv_cache_bytes is not None
    room = total_memory() if told else free_of(config, device)
    return room // degree_of(config).ranks


def check_room(config: EngineConfig, device: str) -> None:
    """Whether a KV cache whose size was asked for can be had now: for who loads an engine of its
    own, and has not shared the machine out before. Raises ConfigError, KernelsError."""
    if config.kv_cache_bytes is not None:
        on_gpu = device.startswith("cuda")
        available = free_of(config, device)
        plan_rank(config, device, available // (1 if on_gpu else degree_of(config).ranks))


def fit(config: EngineConfig, options: ModelOptions, available: int) -> RankNeeds:
    """The sizes of an engine, with the workspace of its own chunk, batch and longest sequence.

    What was asked for may take all that is left, and else the KV cache has its share of it. Where a
    length was not asked for, and the workspace of the model's own does not fit, half of it is
    tried, and so on. Raises ConfigError, KernelsError.
    """
    assert config.mode is not None
    checkpoint = config.checkpoint
    opened, asked = open_checkpoint(checkpoint), config.max_single_sequence_length
    if opened.spec.embeds and not opened.spec.classifies:
        raise ConfigError(
            f"{checkpoint} draws from {opened.spec.vocab} of its {opened.spec.embeds} tokens: it "
            "can draft (additional_models), and answer nobody"
        )
    usual = usual_of(options).within(opened.config.get("prefill_chunk_size"))
    longest = asked or options.seen(opened.spec).max_positions
    while True:
        tokens, rows = most_of_a_step(config, config.mode, usual)
        capacities = replace(
            options, max_step_tokens=tokens, max_step_rows=rows, max_sequence_length=longest
        )
        needs = footprint(checkpoint, capacities)
        if (draft := draft_needs(config, capacities, longest, rows)) is not None:
            needs = beside(needs, draft)
        room = Memory(
            available,
            needs.weights,
            needs.workspace,
            needs.page,
            needs.most_pages,
            needs.spec.max_positions if asked else longest,
            usual,
        )
        try:
            return RankNeeds(infer(config, config.mode, room), needs)
        except ConfigError:
            longest //= 2
            if asked or longest < LEAST_TOKENS:
                raise


def kept_sequences(config: EngineConfig) -> int:
    """Of how many ended sequences pages are kept; -1: of all."""
    if config.prefix_cache_mode == "disable":
        return 0
    asked = config.prefix_cache_max_num_recycling_seqs
    return -1 if asked is None else asked


def beside(model: Footprint, draft: Footprint) -> Footprint:
    """What two models need whose pages have the same numbers."""
    return replace(
        model,
        weights=model.weights + draft.weights,
        workspace=model.workspace + draft.workspace,
        page=model.page + draft.page,
        most_pages=min(model.most_pages, draft.most_pages),
    )


def usual_of(options: ModelOptions) -> Usual:
    """What is done on a device where nothing else is asked for."""
    return ON_GPU if options.on_gpu else ON_CPU


def check_library(model_lib: str | None) -> None:
    """Raises ConfigError if an engine on a CPU is given machine code that is meant for GPUs."""
    if model_lib is not None and (Path(model_lib) / LISTED).exists():
        raise ConfigError(f"model_lib {model_lib} is for GPUs, and this engine runs on a CPU")


def given_library_of(model_lib: str | None) -> str | None:
    """What a model is run by that somebody has named; None where it was compiled in memory, which
    a complete configuration says in the place of a path."""
    return None if model_lib == IN_MEMORY else model_lib


def build_rank(config: EngineConfig, device: str, progress: ProgressCallback) -> None:
    """Make everything that a rank will need in the store, and load nothing. `config` names its
    model and its mode. Raises ConfigError, KernelsError."""
    options, sizes = plan_rank(config, device)
    build(config.checkpoint, options, sizes.pages, progress=progress)
    build_draft(config, options, sizes, progress)


def page_bytes(config: EngineConfig, model: Model) -> int:
    """Of a page on rank 0, where what drafts has its own part of it."""
    options = model.options
    sequence, rows = options.max_sequence_length, options.max_step_rows
    draft = draft_needs(config, options, sequence, rows)
    return model.page_bytes + (draft.page if draft else 0)


def complete(config: EngineConfig, sizes: Sizes, model: Model) -> EngineConfig:
    """The configuration with every value that was inferred while `model` was loaded."""
    kv_bytes, swap = sizes.pages * page_bytes(config, model), config.swap_space_bytes
    if not sizes.drafted:
        config = config.complete(speculative_mode="disable", additional_models=())
    return config.complete(
        model_lib=model.library,
        tensor_parallel_shards=model.options.degree.tensor,
        pipeline_parallel_stages=model.options.degree.pipeline,
        pooling=pooling_of(config),
        gpu_memory_utilization=config.gpu_memory_utilization or usual_of(model.options).utilization,
        kv_cache_bytes=kv_bytes,
        swap_space_bytes=kv_bytes // SWAP_PART if swap is None else swap,
        max_num_sequence=sizes.max_num_sequence,
        max_total_sequence_length=sizes.max_total_sequence_length,
        max_single_sequence_length=sizes.max_single_sequence_length,
        prefill_chunk_size=sizes.prefill_chunk_size,
        sliding_window_size=model.spec.window,
        attention_sink_size=model.spec.sinks,
        max_history_size=0,
        kv_state_kind="kv_cache",
        prefix_cache_max_num_recycling_seqs=kept_sequences(config),
        opt=in_effect(model.options.on_gpu and model.options.graphs),
        quantization=model.quantization,
        kv_dtype=model.kv_dtype,
        threads=model.options.threads,
    )
