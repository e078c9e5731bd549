"""How large an engine may be: a plain function of the model, the memory and the wishes."""

from dataclasses import dataclass
from pathlib import Path

from raylax.worker.config import PAGE_SIZE, EngineConfig, Mode, Sizes
from raylax.worker.errors import ConfigError

SEQUENCES: dict[Mode, int] = {"local": 4, "interactive": 1, "server": 64}
CHUNK = 512
LOCAL_TOKENS = 8192
CPU_SHARE = 0.4
"""Of the free RAM: other processes, and other replicas, live there too."""
LEAST_TOKENS = 2 * PAGE_SIZE
MIB = 1 << 20


@dataclass(frozen=True)
class Memory:
    """What a model needs and the machine has, in bytes."""

    available: int
    weights: int
    workspace: int
    page: int
    most_pages: int
    max_positions: int


def infer(config: EngineConfig, mode: Mode, memory: Memory) -> Sizes:
    """Every size; ConfigError states the arithmetic when not even one sequence fits."""
    sequences = config.max_num_sequence or SEQUENCES[mode]
    single = min(config.max_single_sequence_length or memory.max_positions, memory.max_positions)
    fit = fitting_pages(config, memory) * PAGE_SIZE
    total = config.max_total_sequence_length or wished(mode, sequences, single)
    if config.max_total_sequence_length is None:
        total = min(total, fit)
    elif total > fit:
        raise ConfigError(too_small("max_total_sequence_length", total, memory, fit))
    wanted = config.max_single_sequence_length
    if total < (wanted or LEAST_TOKENS):
        raise ConfigError(too_small("one sequence", wanted or LEAST_TOKENS, memory, total))
    single = min(single, total)
    chunk = max(config.prefill_chunk_size or min(CHUNK, total), sequences)
    return Sizes(sequences, single, total, chunk, -(-total // PAGE_SIZE))


def wished(mode: Mode, sequences: int, single: int) -> int:
    """Tokens worth having, were memory no limit."""
    if mode == "local":
        return min(sequences * single, max(LOCAL_TOKENS, single))
    return sequences * single


def fitting_pages(config: EngineConfig, memory: Memory) -> int:
    share = config.gpu_memory_utilization or CPU_SHARE
    left = int((memory.available - memory.weights - memory.workspace) * share)
    return max(0, min(left // memory.page, memory.most_pages))


def too_small(what: str, tokens: int, memory: Memory, fit: int) -> str:
    needed = -(-tokens // PAGE_SIZE) * memory.page / MIB
    return (
        f"KV memory: {what} of {tokens} tokens needs {needed:.1f} MiB, there is room for {fit} "
        f"tokens ({memory.available / MIB:.0f} MiB free, weights {memory.weights / MIB:.0f} MiB, "
        f"workspace {memory.workspace / MIB:.0f} MiB); lower max_single_sequence_length, "
        "raise gpu_memory_utilization or free memory"
    )


def available_memory() -> int:
    """Bytes of RAM that can be had: of the machine, or of our control group if that is less."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    table = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    free = table["MemAvailable"]
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))
    return free
