"""From a configuration to a model that runs steps, with all that the engine thread needs of it."""

from collections.abc import Callable
from dataclasses import dataclass

from raylax.kernels.build import sampler_for
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.options import ProgressCallback
from raylax.kernels.spec import DecoderSpec
from raylax.proto.calls.sampling_defaults import vocabulary_for_grammars
from raylax.proto.grammar.matchers import Matchers
from raylax.proto.pages import PAGE_SIZE
from raylax.proto.text.files import TextFiles
from raylax.worker.config import ECHO, EngineConfig
from raylax.worker.engine.model.echo import EchoBatch, EchoExecutor, EchoRoster
from raylax.worker.engine.model.limits import ModelLimits
from raylax.worker.engine.model.self_check import SelfCheck
from raylax.worker.engine.model.states import load_states
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.kv.sight import ALL, Sight
from raylax.worker.kv.swap import Swap, no_swap
from raylax.worker.ranks.drafts.loading import load_proposer
from raylax.worker.ranks.executor import Executor, SingleRank
from raylax.worker.ranks.leader import RankGroup
from raylax.worker.ranks.loading import complete, degree_of
from raylax.worker.ranks.startup import Spawner
from raylax.worker.ranks.warm_up import PAGE, page_seconds, warm_up
from raylax.worker.sampling.sampler import Sampler, single_threaded
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.decision.targets import Targets
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.scheduling.roster import Roster


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The engine thread's, but for `limits`, and for what an executor tells anybody."""

    executor: Executor
    batch: Batch
    limits: ModelLimits
    self_check: SelfCheck


def load_executor(
    config: EngineConfig, device: str, spawner: Spawner, progress: ProgressCallback
) -> Executor:
    """The ranks that the configuration asks for. Raises what keeps one from loading."""
    if config.model_lib == ECHO:
        return EchoExecutor.load(config)
    if degree_of(config).ranks == 1:
        return SingleRank.load(config, device, progress)
    return RankGroup.load(config, device, progress, spawner)


def matchers_of(config: EngineConfig, vocab: int) -> Matchers:
    """For answers of a model that have a grammar."""
    checkpoint = config.checkpoint
    return Matchers(
        lambda: vocabulary_for_grammars(TextFiles(open_checkpoint(checkpoint).text), vocab), vocab
    )


def sight_of(spec: DecoderSpec, drafts: Proposer | None) -> Sight:
    """How far back a model sees, and what drafts for it: one that goes token by token has the same
    pages, and sees all of them. A branch computes the tokens of a sequence's last page again, of
    which the first sees farther back than the next one."""
    recent = spec.sight
    if isinstance(drafts, ModelProposer):
        if isinstance(drafts.drafter, Chain):
            return ALL
        if recent and drafts.width > 1:
            recent += PAGE_SIZE - 1
    return Sight(recent, spec.sinks)


def swap_of(executor: Executor, most_bytes: int) -> Swap:
    """Host memory for pages of those who give way, and what copying takes."""
    (page,) = executor.read_pages([PAGE])
    if not (most := most_bytes // len(page)):
        return no_swap()
    return Swap(executor.read_pages, executor.write_pages, most, page_seconds(executor))


def assemble(
    executor: Executor,
    config: EngineConfig,
    clock: Callable[[], float],
    began: Callable[[list[str]], None],
    progress: ProgressCallback,
) -> LoadedModel:
    """All that runs its steps, which have been tried once. `began`: as a batch has it. Raises
    ConfigError, KernelsError, and what a damaged model raises."""
    sizes, model, echoes = executor.sizes, executor.rank.model, config.model_lib == ECHO
    if echoes:
        config = config.complete(speculative_mode="disable", additional_models=())
    ready = complete(config, sizes, model)
    known = warm_up(executor, config.checkpoint)
    sampler = single_threaded() if echoes else Sampler(sampler_for(model.options))
    drafts = load_proposer(config, model, sizes, sampler, progress)
    kept = ready.prefix_cache_max_num_recycling_seqs
    pool = PagePool(sizes.pages, config.prefix_cache_mode == "radix", kept)
    sight, swap = sight_of(model.spec, drafts), swap_of(executor, ready.swap_space_bytes or 0)
    limits = StepLimits(
        sizes.prefill_chunk_size,
        sizes.max_num_sequence,
        sizes.drafted,
        config.prefill_mode == "chunked",
        model.tile_rows,
        Targets.of(config.target_itl_ms),
    )
    parts = limits, executor.run, began, model.draws, executor.submit, drafts, sampler
    if echoes:
        echoing = EchoRoster(pool, clock, sight=sight, swap=swap, vocab=model.spec.vocab)
        batch: Batch = EchoBatch(echoing, *parts, spec=model.spec)
    else:
        roster = Roster(pool, clock, sight=sight, swap=swap)
        batch = Batch(roster, *parts, states=load_states(ready, model))
    matchers = None if echoes else matchers_of(config, model.spec.tokens)
    labels = model.spec.vocab if model.spec.classifies else 0
    known_limits = ModelLimits(ready, model.spec.tokens, matchers, labels, model.spec.headless)
    return LoadedModel(executor, batch, known_limits, SelfCheck(known, clock))
