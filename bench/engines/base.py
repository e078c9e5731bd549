"""What every engine is measured by. Standard library only: other Pythons import it, too."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self, get_args

PROMPT, ANSWER = 512, 128
KVDtype = Literal["auto", "f32", "bf16", "int8"]
KV_DTYPES = get_args(KVDtype)


@dataclass(frozen=True)
class Load:
    """A row of the table: sequences that begin together, of so many tokens, each."""

    name: str
    sequences: int
    prompt: int
    answer: int

    @property
    def is_prefill(self) -> bool:
        return self.answer == 1


def prefill() -> Load:
    return Load(f"prefill {PROMPT}", 1, PROMPT, 1)


def decode(sequences: int, context: int) -> Load:
    return Load(f"decode c={sequences}", sequences, context, ANSWER)


@dataclass(frozen=True)
class Options:
    """How an engine is loaded."""

    model: str
    quantization: str
    kv_dtype: KVDtype
    threads: int
    sequences: int
    """The most at once."""
    length: int
    """Of the longest, prompt and answer."""
    shards: int = 1
    stages: int = 1
    """Ranks of raylax, each of so many threads."""


class Measurement(NamedTuple):
    tokens_per_s: float
    cpu_s: float
    """The processor time that the engine itself took."""
    peak_mb: float
    """Of its process, so far."""


class Engine(Protocol):
    """Loaded by `with`, which also ends it. Idle when it does not measure."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def measure(self, load: Load) -> Measurement:
        """Raises PeerFailed."""
        ...


class PeerFailed(Exception):
    """An engine could not load or run: one line that says which one, and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {' '.join(why.split()) or 'it ended without a word'}")
