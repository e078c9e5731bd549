"""How large an engine may be: a plain function of the model, the memory and the wishes."""

from dataclasses import dataclass, replace

from raylax.proto.pages import PAGE_SIZE, pages_for
from raylax.worker.config import (
    CPU_UTILIZATION,
    GPU_UTILIZATION,
    MOST_DRAFTED,
    EngineConfig,
    Mode,
    Sizes,
)
from raylax.worker.errors import ConfigError

LOCAL_TOKENS = 8192
LEAST_TOKENS = 2 * PAGE_SIZE
MIB = 1 << 20


@dataclass(frozen=True)
class Usual:
    """What an engine on a kind of device does where its configuration says nothing."""

    sequences: dict[Mode, int]
    chunk: int
    utilization: float
    """What `gpu_memory_utilization` is."""
    whole: bool
    """Whether that is of all of the device's memory, for everything, and the available bytes are
    what it comes to. Else it is of what is available beside weights and workspace, for pages."""
    fills: bool
    """Whether a server's pages take all of that share: nothing else lives there, and what was
    computed once is found again."""

    def within(self, chunk: object) -> "Usual":
        """The same, with no more tokens in a step than a model's files say, if they do."""
        if not isinstance(chunk, int) or chunk <= 0:
            return self
        return replace(self, chunk=min(self.chunk, chunk))


ON_CPU = Usual({"local": 4, "interactive": 1, "server": 64}, 512, CPU_UTILIZATION, False, False)
"""Other processes, and other replicas, live in its memory too."""
ON_GPU = Usual({"local": 4, "interactive": 1, "server": 256}, 2048, GPU_UTILIZATION, True, True)
SEQUENCE_TOKENS = 128
"""A short question and its answer: with fewer for each, sequences of a server would give way to
each other all the time, and be computed again."""


@dataclass(frozen=True)
class Memory:
    """What a model needs and the machine has, in bytes."""

    available: int
    weights: int
    workspace: int
    page: int
    most_pages: int
    max_positions: int
    usual: Usual = ON_CPU

    @property
    def left(self) -> int:
        """Beside the weights and the workspace."""
        return self.available - self.weights - self.workspace


def infer(config: EngineConfig, mode: Mode, memory: Memory) -> Sizes:
    """Every size of an engine. ConfigError states the arithmetic when not even one sequence
    fits."""
    check_lengths(config, memory.max_positions)
    check_weights(memory)
    check_workspace(config, mode, memory)
    check_bytes(config, memory)
    single = config.max_single_sequence_length or memory.max_positions
    least = config.max_single_sequence_length or min(LEAST_TOKENS, single)
    pages = fitting_pages(config, memory)
    check_sequences(config, memory, pages)
    fit = pages * PAGE_SIZE
    if least > fit:
        raise ConfigError(too_small("one sequence", least, memory, fit))
    sequences = sequences_of(config, mode, config.max_total_sequence_length or fit, memory.usual)
    wish = wished(mode, sequences, single, memory.usual)
    total = config.max_total_sequence_length or (fit if wish is None else min(wish, fit))
    if total > fit:
        raise ConfigError(too_small("max_total_sequence_length", total, memory, fit))
    single = min(single, total)
    chunk = max(config.prefill_chunk_size or min(memory.usual.chunk, total), sequences)
    drafted = drafts_of_a_step(config)
    return Sizes(sequences, single, total, chunk, pages_for(total), drafted)


def sequences_of(config: EngineConfig, mode: Mode, tokens: int, usual: Usual) -> int:
    """How many sequences run at once, where the KV cache may hold so many tokens.

    Of a server as many as there is memory for, up to where a larger batch brings no more tokens a
    second. A step's time is that of reading the weights, whoever shares it, and that of computing,
    which grows with the batch. They are equal where 2 operations for each weight and sequence take
    as long as to read the weight: with the 1 to 2 bytes that weights have, at some 10 to 30
    sequences on CPUs (10 to 30 operations for a byte of memory), and at 150 to 300 on GPUs. Beyond
    that everybody waits longer and nobody has more; twice as many on CPUs, where attention, drafts
    and prefills share the step. It is no measurement: what a step takes is known when the sizes are
    long fixed, and they must be the same for all replicas and after each restart.
    """
    most = usual.sequences[mode]
    if config.max_num_sequence is not None:
        return config.max_num_sequence
    return max(1, min(most, tokens // (SEQUENCE_TOKENS if mode == "server" else PAGE_SIZE)))


def most_of_a_step(config: EngineConfig, mode: Mode, usual: Usual) -> tuple[int, int]:
    """The most tokens that a step may have to hold, and rows from which it draws."""
    sequences = config.max_num_sequence or usual.sequences[mode]
    tokens = max(config.prefill_chunk_size or usual.chunk, sequences)
    return tokens, sequences + drafts_of_a_step(config)


def drafts_of_a_step(config: EngineConfig) -> int:
    """Tokens of drafts that a step may verify."""
    return 0 if config.speculative_mode == "disable" else MOST_DRAFTED


def check_lengths(config: EngineConfig, max_positions: int) -> None:
    """Raises ConfigError if what was asked for does not agree with itself or with the model."""
    single, total = config.max_single_sequence_length, config.max_total_sequence_length
    for name in ("max_single_sequence_length", "max_total_sequence_length"):
        if getattr(config, name) == 1:
            raise ConfigError(
                f"{name} must be at least 2, a token of a prompt and one of its answer; found 1"
            )
    if single is not None and single > max_positions:
        raise ConfigError(
            f"max_single_sequence_length must be at most the model's {max_positions} "
            f"positions, found {single}"
        )
    if total is not None and total < (single or 0):
        raise ConfigError(
            f"max_total_sequence_length must hold one sequence of {single} tokens "
            f"(max_single_sequence_length), found {total}"
        )


def check_weights(memory: Memory) -> None:
    """Raises ConfigError for a model that is too large, however short its sequences."""
    if memory.weights >= memory.available:
        raise ConfigError(
            f"the model is too large: its weights take {memory.weights / MIB:.0f} MiB, and there "
            f"are {memory.available / MIB:.0f} MiB; ask for a smaller quantization, share it among "
            "ranks (tensor_parallel_shards, pipeline_parallel_stages) or free memory"
        )


def check_workspace(config: EngineConfig, mode: Mode, memory: Memory) -> None:
    """Raises ConfigError if a step of the sizes that were asked for leaves no room for pages."""
    if memory.left <= 0 and memory.workspace > memory.weights:
        tokens, rows = most_of_a_step(config, mode, memory.usual)
        raise ConfigError(
            f"the steps are too large: the workspace of {tokens} tokens and {rows} sequences takes "
            f"{memory.workspace / MIB:.0f} MiB, beside {memory.weights / MIB:.0f} MiB of weights, "
            f"and there are {memory.available / MIB:.0f} MiB; ask for a smaller prefill_chunk_size "
            "or max_num_sequence, or for fewer threads"
        )


def check_bytes(config: EngineConfig, memory: Memory) -> None:
    """Raises ConfigError if more bytes were asked for than there are."""
    if config.kv_cache_bytes is not None and config.kv_cache_bytes > memory.left:
        raise ConfigError(
            f"kv_cache_bytes must be at most {max(0, memory.left)}, what {parts(memory)} leave; "
            f"found {config.kv_cache_bytes}"
        )


def check_sequences(config: EngineConfig, memory: Memory, pages: int) -> None:
    """Raises ConfigError if more sequences were asked for than could ever run at once."""
    if pages and (asked := config.max_num_sequence or 0) > pages:
        raise ConfigError(
            f"max_num_sequence of {asked} needs a page of {PAGE_SIZE} tokens for each, "
            f"{asked * memory.page / MIB:.1f} MiB, and there is room for {pages} "
            f"({parts(memory)}); ask for fewer, raise gpu_memory_utilization or free memory"
        )


def wished(mode: Mode, sequences: int, single: int, usual: Usual) -> int | None:
    """Tokens worth having, were memory no limit; None: as many as fit."""
    if mode == "server" and usual.fills:
        return None
    if mode == "local":
        return min(sequences * single, max(LOCAL_TOKENS, single))
    return sequences * single


def fitting_pages(config: EngineConfig, memory: Memory) -> int:
    """KV pages that there is room for."""
    share = config.gpu_memory_utilization or memory.usual.utilization
    asked = config.max_total_sequence_length and not config.gpu_memory_utilization
    if memory.usual.whole or asked:
        share = 1.0
    room = config.kv_cache_bytes or int(memory.left * share)
    return max(0, min(room // memory.page, memory.most_pages))


def too_small(what: str, tokens: int, memory: Memory, fit: int) -> str:
    """Why `tokens` do not fit where `fit` do, and what can be done about it."""
    needed = pages_for(tokens) * memory.page / MIB
    return (
        f"KV memory: {what} of {tokens} tokens needs {needed:.1f} MiB, there is room for {fit} "
        f"tokens ({parts(memory)}); ask for shorter sequences, raise gpu_memory_utilization or "
        "free memory"
    )


def parts(memory: Memory) -> str:
    """The terms of the sum."""
    word = "by gpu_memory_utilization" if memory.usual.whole else "free"
    return (
        f"{memory.available / MIB:.0f} MiB {word}, weights {memory.weights / MIB:.0f} MiB, "
        f"workspace {memory.workspace / MIB:.0f} MiB"
    )
