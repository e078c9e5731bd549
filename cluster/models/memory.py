"""The host's memory, shared out among all workers that there may be, in one place.

Pages cost nothing before they are used, so every worker alone would find room for its own. Here
all of them are counted: each file of packed weights once, whose memory is shared by all that map it
on a host, and the workspace and the pages of each rank. An engine is told its sizes, and does not
ask how much is free while others load. Other hosts are taken to be like this one; a GPU's memory is
its ranks' own concern.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from raylax.cluster.errors import UserError
from raylax.cluster.models.lookup import ResolvedModel
from raylax.cluster.models.mistakes import told_to_the_user
from raylax.cluster.placement import cpus_of_a_rank, device_of_a_worker
from raylax.kernels.build import footprint
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.memory import available_memory
from raylax.worker.ranks.loading import SWAP_PART, RankNeeds, fit, options_of

GIB = 1 << 30
MIB = 1 << 20


@cache
def memory_at_the_start() -> int:
    """Bytes that were available when this process first asked. Later ones are partly our workers',
    and a change of the configuration must not change the sizes of all of them."""
    return available_memory()


@dataclass(frozen=True)
class Part:
    """What one model's workers take of a host."""

    model: ResolvedModel
    engine: EngineConfig
    needs: RankNeeds
    weights: int
    """Bytes, 0 if an earlier entry maps the same file."""

    @property
    def workers(self) -> int:
        """As many as there may be on this machine."""
        return self.model.config.workers_of_a_machine

    @property
    def total(self) -> int:
        """Bytes of all workers, with those for pages of who gives way, if somebody has asked for
        them."""
        ranks = self.workers * self.model.config.ranks
        aside = self.workers * (self.engine.swap_space_bytes or 0)
        return ranks * (self.needs.pages + self.needs.footprint.workspace) + self.weights + aside

    def __str__(self) -> str:
        ranks = self.model.config.ranks
        counted = plural(self.workers, "worker") + (f" x {ranks} ranks" if ranks > 1 else "")
        pages, workspace = size(self.needs.pages), size(self.needs.footprint.workspace)
        weights = f" + {size(self.weights)} of weights" if self.weights else ""
        aside = self.engine.swap_space_bytes
        swap = f" + {self.workers} x {size(aside)} of swap space" if aside else ""
        return f"{counted} x ({pages} of pages + {workspace} of workspace){weights}{swap}"


def plan_engines(models: Sequence[ResolvedModel]) -> list[EngineConfig]:
    """What the engines of each model are told. Raises UserError for what does not fit together."""
    told = {model.name: named(model) for model in models}
    parts = parts_of(on_this_memory(models), told)
    check_sum(parts)
    left = memory_at_the_start() - sum(part.total for part in parts)
    for part in parts:
        sizes, swap = part.needs.sizes, part.engine.swap_space_bytes
        if swap is None:  # what nobody asked for takes nobody's place
            each = left // sum(one.workers for one in parts)
            swap = min(part.needs.pages // SWAP_PART, each)
        told[part.model.name] = part.engine.complete(
            kv_cache_bytes=part.needs.pages,
            swap_space_bytes=swap,
            max_num_sequence=sizes.max_num_sequence,
            max_total_sequence_length=sizes.max_total_sequence_length,
            max_single_sequence_length=sizes.max_single_sequence_length,
            prefill_chunk_size=sizes.prefill_chunk_size,
        )
    return [told[model.name] for model in models]


def named(model: ResolvedModel) -> EngineConfig:
    """What a model's engines are told, but for their sizes. Those that have a machine to
    themselves, whichever that is, look how many cores it has."""
    config = model.config
    alone = config.cluster is not None and config.all_ranks == 1
    engine = config.engine_config(None if alone else cpus_of_a_rank(config))
    return engine.complete(model=str(model.checkpoint), mode=model.config.mode)


def engines_alone(models: Sequence[ResolvedModel]) -> list[EngineConfig]:
    """What engines are told that have a machine to themselves, each one: no sizes, it looks for
    itself. Containers do not see which cores others have taken, so that none are kept unless
    somebody asks for it."""
    return [
        model.config.engine_config(threads=None).complete(
            model=str(model.checkpoint),
            mode=model.config.mode,
            pin_threads=bool(model.config.engine.get("pin_threads", False)),
        )
        for model in models
    ]


def check_engines(models: Sequence[ResolvedModel], engines: Sequence[EngineConfig]) -> None:
    """Whether this machine has room for a worker of each model, whose sizes another machine has
    found. Raises UserError."""
    told = {model.name: engine for model, engine in zip(models, engines, strict=True)}
    check_sum(parts_of(on_this_memory(models), told))


def on_this_memory(models: Sequence[ResolvedModel]) -> list[ResolvedModel]:
    """Those that take some of the host's."""
    return [
        model
        for model in models
        if model.config.has_weights and device_of_a_worker(model.config) != "cuda"
    ]


def parts_of(models: Sequence[ResolvedModel], told: dict[str, EngineConfig]) -> list[Part]:
    """What each model takes. Raises UserError for one that does not fit alone."""
    weights: dict[str, int] = {}
    mapped: set[str] = set()
    with told_to_the_user():
        for model in models:
            needs = footprint(model.checkpoint, options_of(told[model.name], "cpu"))
            shared = needs.packed in mapped
            weights[model.name] = 0 if shared else needs.weights * model.config.ranks
            mapped.add(needs.packed)
        left = memory_at_the_start() - sum(weights.values())
        return [
            Part(model, told[model.name], rank_needs(model, told[model.name], left), own)
            for model, own in zip(models, weights.values(), strict=True)
        ]


def rank_needs(model: ResolvedModel, engine: EngineConfig, left: int) -> RankNeeds:
    """What a rank of a model takes of `left`, the bytes beside all weights. What was asked for is
    measured by all of it, for the sum is checked; what was not, or as a share, is an even share.
    Raises ConfigError, KernelsError."""
    options = options_of(engine, "cpu")
    asked = engine.kv_cache_bytes or engine.max_total_sequence_length
    ranks = model.config.ranks if asked else model.config.all_ranks
    room = footprint(model.checkpoint, options).weights + left // ranks
    try:
        return fit(engine, options, room)
    except ConfigError as error:
        shared = f"; {model.config.all_ranks} ranks of workers share {size(left)}"
        raise ConfigError(f"{error}{'' if asked else shared}") from None


def check_sum(parts: Sequence[Part]) -> None:
    """Raises UserError, with the arithmetic, if all that was promised is more than there is."""
    total, available = sum(part.total for part in parts), memory_at_the_start()
    if total <= available:
        return
    alone = len(parts) == 1
    terms = [str(part) if alone else f"{part.model.name}: {part}" for part in parts]
    raise UserError(
        f"memory: {'; '.join(terms)} = {size(total)}, of {size(available)} available; less "
        "max_total_sequence_length, kv_cache_bytes or gpu_memory_utilization, fewer replicas, or "
        "a smaller quantization"
    )


def size(count: int) -> str:
    """Bytes as they are read."""
    return f"{count / GIB:.1f} GiB" if abs(count) >= GIB else f"{count / MIB:.1f} MiB"


def plural(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count} {noun}" + ("s" if count != 1 else "")
