"""What can be known to fail of a model, found out before anything is started for it.

Neither Ray nor the compiler is needed, and no weight is read: a second for a large tokenizer.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence

from raylax.cluster.config.models import ModelSettings
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.lookup import ResolvedModel
from raylax.cluster.placement import cost_of_a_worker, device_of_a_worker
from raylax.kernels.checkpoints.readers import config_written, open_checkpoint
from raylax.kernels.cpu.kept import kept, told
from raylax.kernels.cuda import driver
from raylax.kernels.errors import KernelsError
from raylax.kernels.families.nested import nested_in
from raylax.proto.calls.prompt_work import ChatWork
from raylax.proto.errors import RaylaxError
from raylax.proto.frontend import Frontend
from raylax.proto.text.files import CONFIG, TOKENIZER, TextFiles
from raylax.router.prompts.errors import ForkServerLost, ModelAtFault, NotLoaded
from raylax.router.prompts.limits import PromptLimits
from raylax.router.prompts.pool import Asker, PromptPool
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.devices import choose, detect_device
from raylax.worker.ranks.loading import degree_of, options_of
from raylax.worker.sizing import check_lengths

ROUNDED = 1e-4
"""Of a GPU: Ray counts in ten thousandths."""
SOON_S = 2.0
"""Of CPU; a template has milliseconds to do for it."""
LEAST_NAMED = 0.5
"""Of a model's tokens: many have some that stand for nothing, up to a round number."""
A_CHAT = ChatWork(
    messages=[{"role": "user", "content": "x"}],
    tools=[],
    documents=[],
    template=None,
    told={},
    begin_turn=True,
    continue_last=False,
    special_tokens_in_content=False,
    add_special_tokens=False,
    tools_must_show=False,
    field="messages",
    longest=None,
)
"""What is tried of a model's template."""


def check_models(models: Sequence[ResolvedModel], machines_are_here: bool = True) -> None:
    """Raises UserError with the model's file, or the setting, that is at fault.
    `machines_are_here`: else those of workers come later, and what they have is theirs to say."""
    for model in models:
        check_engine(model, machines_are_here)
        check_text(model)
    configs = [model.config for model in models]
    check_pool(configs)
    if machines_are_here:
        check_gpus(configs)


def precision_lost(model: ResolvedModel) -> str | None:
    """What is said of a checkpoint's weights, where nobody has said how they are to be kept: on a
    CPU in what form those that others quantised are, on a GPU what is lost."""
    if model.config.quantization != "auto" or not model.config.has_weights:
        return None
    checkpoint = open_checkpoint(model.checkpoint)
    if detect_device(model.config.device) == "cpu":
        plan = kept(checkpoint)
        return f"{model.name}: {told(plan, checkpoint.spec.tied_embeddings)}" if plan else None
    if checkpoint.dtype != "float32":
        return None
    return (
        f"{model.name}: its float32 weights become bfloat16 on a GPU, which has 16 binary digits "
        "fewer; --device cpu keeps all of them"
    )


def images_unread(model: ResolvedModel) -> str | None:
    """What is said of a model that reads images, too, elsewhere. Raises CheckpointError."""
    if nested_in(config_written(model.checkpoint) or {}) is None:
        return None
    return f"{model.name}: only its text is served; what it has for images is left out"


def check_engine(model: ResolvedModel, here: bool = True) -> None:
    """Whether the engine that is asked for can run such a model, `here` or at all. Raises
    UserError."""
    spec = open_checkpoint(model.checkpoint, model.config.has_weights).spec
    try:
        check_device(model.config.device)
        if here and not gpus_of_ray():  # else the machine of each worker looks at its own
            detect_device(model.config.device)
        engine = model.config.engine_config(1).complete(model=str(model.checkpoint))
        degree_of(engine).check(spec)
        check_lengths(engine, options_of(engine, "cpu").seen(spec).max_positions)
    except (ValueError, KernelsError) as error:  # a ConfigError is a ValueError
        raise UserError(f"{model.name}: {error}") from None
    except OSError as error:
        raise not_written(error) from None


def check_device(device: str) -> None:
    """Ray gives each worker its GPU. Raises ConfigError for a string that names another one."""
    kind, _, index = device.partition(":")
    if kind == "cuda" and index not in ("", "0"):
        raise ConfigError(
            "device must be cuda, and CUDA_VISIBLE_DEVICES say which GPUs there are for workers; "
            f"found {device!r}"
        )


def check_gpus(configs: Sequence[ClusterConfig]) -> None:
    """Raises UserError if there are fewer GPUs than the ranks that are to start want."""
    shares = [
        config.gpus_per_rank
        for config in configs
        if device_of_a_worker(config) == "cuda"
        for _ in range(config.replicas * config.ranks)
    ]
    needed = gpus_for(shares)
    if needed and needed > (there := gpus_of_ray() or driver.count()):
        raise UserError(
            f"{len(shares)} ranks of workers need {needed} GPUs, and {there:g} can be seen here: "
            "start fewer replicas, tensor_parallel_shards or pipeline_parallel_stages, or let "
            "workers of one rank share a GPU by gpus_per_rank"
        )


def gpus_for(shares: Iterable[float]) -> int:
    """How many GPUs hold these shares, none of which is cut in two: three of 0.6 take three."""
    left: list[float] = []
    for share in sorted(shares, reverse=True):
        for index, room in enumerate(left):
            if share <= room + ROUNDED:
                left[index] -= share
                break
        else:
            left.append(1.0 - share)
    return len(left)


def check_pool(configs: Sequence[ClusterConfig]) -> None:
    """Raises UserError where the pool cannot hold the workers that there are in any case."""
    pool = configs[0].autoscaling.pool
    least = sum(config.replicas * cost_of_a_worker(config) for config in configs)
    if pool is not None and least > pool:
        raise UserError(
            f"autoscaling.pool: the workers that replicas asks for take {least:g}, and the pool "
            f"has {pool:g}"
        )


def gpus_of_ray() -> float:
    """GPUs of all machines, where this process is connected to a Ray that has some."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return 0.0
    return float(ray.cluster_resources().get("GPU", 0.0))


def unused_gpu(models: Sequence[ResolvedModel]) -> str | None:
    """Why `auto` is the CPU, where there is a GPU."""
    if all(model.config.device != "auto" for model in models):
        return None
    return choose().why_no_gpu or None


def check_text(model: ResolvedModel) -> None:
    """Whether a router can make prompts of the model's files, and text of its tokens. Raises
    UserError with the file and the reason."""
    checkpoint = open_checkpoint(model.checkpoint, model.config.has_weights)
    try:
        files = TextFiles(checkpoint.text)
    except KernelsError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise not_written(error) from None
    if why := why_no_text(model.name, files, checkpoint.spec.max_positions, model.config):
        made, given = str(files.directory), str(model.checkpoint)
        raise UserError(why.replace(made, given))  # where it lies in the store helps nobody


def not_written(error: OSError) -> UserError:
    """Of texts that are made, and put into the store."""
    return UserError(f"{error.filename}: cannot be written: {error.strerror}")


def why_no_text(name: str, files: TextFiles, longest: int, settings: ModelSettings) -> str | None:
    """What is wrong with the files, if anything is. `longest`: tokens of a sequence."""
    try:
        files.check_archived()
        ids = asyncio.run(ids_of_a_prompt(name, files))  # it may not come to an end
        frontend = Frontend.load(files, name, longest, reranker=settings.reranker)
        return next(mistakes(frontend, files, ids), None)
    except FileNotFoundError as error:
        return f"{files.directory}: {missing(error)}"
    except OSError as error:
        return f"{error.filename}: cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)
    except Exception as error:  # whatever else a file that makes no sense leads to
        return (
            f"{files.directory}: its tokenizer and templates cannot be used: "
            f"{type(error).__name__}: {error}"
        )


async def ids_of_a_prompt(name: str, files: TextFiles) -> Sequence[int]:
    """The token ids of a small chat, where the template takes it. Raises ValueError for a model
    whose files do not come to an end."""
    pool = PromptPool({name: str(files.directory)}, PromptLimits(timeout_s=SOON_S))
    try:
        await pool.start()
        (ids,) = await pool.ids(name, A_CHAT, Asker("", 1.0, 0))
        return ids
    except (ForkServerLost, ModelAtFault) as error:
        if isinstance(error, NotLoaded):
            return ()  # whoever loads them here says so in the right words
        raise ValueError(f"{files.directory}: no prompts can be made: {error}") from None
    except RaylaxError:
        return ()  # some templates want another conversation, some models have none
    finally:
        await pool.close()


def missing(error: FileNotFoundError) -> str:
    """What to do about a file that is not there."""
    name = str(error.filename).rpartition("/")[2]
    others = "tokenizer.model, tekken.json, vocab.json with merges.txt, and *.tiktoken"
    return f"{name} is missing" + (f", and so are {others}" if name == TOKENIZER else "")


def mistakes(frontend: Frontend, files: TextFiles, ids: Sequence[int]) -> Iterator[str]:
    """Where tokenizer, template and weights are not of one model. `ids`: of a prompt. Tokens beyond
    the vocabulary that were added, and that no prompt has, do no harm."""
    tokenizer, config = files.directory / TOKENIZER, files.directory / CONFIG
    highest = frontend.tokenizer.highest_id
    if highest >= frontend.vocab:
        yield (
            f"{tokenizer}: its vocabulary has ids up to {highest}, and vocab_size in {config} is "
            f"{frontend.vocab}: are they of one model?"
        )
    if (count := frontend.tokenizer.size) < frontend.vocab * LEAST_NAMED:
        yield (
            f"{tokenizer}: it has {count} tokens, and vocab_size in {config} is {frontend.vocab}: "
            "are they of one model?"
        )
    for token in (id for id in ids if id >= frontend.vocab):
        yield (
            f"{tokenizer}: the chat template writes {frontend.tokenizer.name_of(token)!r}, "
            f"which is token {token}, and vocab_size in {config} is {frontend.vocab}"
        )
