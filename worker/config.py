"""The engine's configuration: what a user may set, and what follows when he does not."""

import json
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, Self, get_args

from raylax.proto.pages import PAGE_SIZE
from raylax.worker.errors import ConfigError

Mode = Literal["local", "interactive", "server"]


@dataclass(frozen=True)
class EngineConfig:
    """What an engine may be told. None: inferred when the model is loaded.

    `ThreadedEngine.get_complete_engine_config` returns every field with its value. The fields and
    their names are those of the engine that this one follows; see `ABSENT` for what they may not
    be set to yet.
    """

    model: str | None = None
    """The checkpoint's directory; left out where a constructor names the model."""
    model_lib: str | None = None
    """Compiled library. Given, it must be the one in the store that this model compiles to."""
    additional_models: tuple[str, ...] = ()
    """Draft models."""
    mode: Mode | None = None
    """How much to hold at once: local 4 sequences, interactive 1, server 64."""
    tensor_parallel_shards: int | None = None
    """Devices that share each layer."""
    pipeline_parallel_stages: int | None = None
    """Devices that share the layers among them."""
    gpu_memory_utilization: float | None = None
    """Share of the memory left after the weights that the KV cache may take (on a CPU: of RAM)."""
    gpus_per_rank: float = 1.0
    """One, or a share of one: then a rank counts on no more of its memory."""
    kv_cache_page_size: int = PAGE_SIZE
    """Tokens in a page; 16."""
    max_num_sequence: int | None = None
    """Sequences that run at once."""
    max_total_sequence_length: int | None = None
    """Tokens that the KV cache holds."""
    max_single_sequence_length: int | None = None
    """Tokens of one sequence, prompt and answer; at most the model's own limit."""
    prefill_chunk_size: int | None = None
    """Most tokens in one step; raised to `max_num_sequence`, so that every decode has its token."""
    sliding_window_size: int | None = None
    """Tokens that attention looks back; 0: all of them."""
    attention_sink_size: int | None = None
    """First tokens that a sliding window keeps in sight."""
    max_history_size: int | None = None
    """Steps that a recurrent model can be rolled back."""
    kv_state_kind: Literal["kv_cache", "rnn_state"] | None = None
    """What is kept between steps."""
    speculative_mode: Literal["disable", "small_draft", "eagle", "medusa"] = "disable"
    """Who proposes tokens for the model to verify."""
    spec_draft_length: int = 0
    """Tokens proposed at once."""
    spec_tree_width: int = 1
    """Proposals for one position."""
    prefix_cache_mode: Literal["disable", "radix"] = "radix"
    """Whether pages of ended requests are kept, to be shared by prompts with the same beginning."""
    prefix_cache_max_num_recycling_seqs: int | None = None
    """Ended sequences kept whole; 0, since pages are kept one by one."""
    prefill_mode: Literal["chunked", "hybrid"] = "hybrid"
    """hybrid: prefill chunks and decodes share a step."""
    verbose: bool = True
    """Log the progress of loading, at level INFO."""
    opt: str | None = None
    """Vendor libraries to use; O0: none."""
    quantization: str = "auto"
    """Of the weights: q0f32, q0bf16, w8a8, q8f32_0, q4f32_0, q4f32_1; auto keeps the precision."""
    kv_dtype: Literal["auto", "f32", "bf16", "int8"] = "auto"
    """Of keys and values; auto is what suits the weights."""
    threads: int | None = None
    """Of each rank's compiled step; inferred: the cores that this process may use, shared out."""
    pin_threads: bool = False
    """Whether the step's threads get cores of their own, if so many are free. In the complete
    configuration: whether they did."""
    max_waiting: int = 1024
    """Requests that may wait for their prefill; more are refused."""

    def __post_init__(self) -> None:
        check_values(self)

    def asjson(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Unknown keys are errors that name the nearest known one."""
        try:
            values: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"engine config: not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"engine config: must be a JSON object, found {values!r}")
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ConfigError(f"engine config: unknown key {key!r}{hint}")
        values["additional_models"] = tuple(values.get("additional_models") or ())
        return cls(**values)

    def complete(self, **inferred: Any) -> Self:
        """With these values instead of its own."""
        return replace(self, **inferred)


# Options of the original engine that this build has no code for: set to anything else, refused.
ABSENT: dict[str, tuple[Any, ...]] = {
    "speculative_mode": ("disable",),
    "spec_draft_length": (0,),
    "spec_tree_width": (1,),
    "additional_models": ((),),
    "sliding_window_size": (None, 0),
    "attention_sink_size": (None, 0),
    "max_history_size": (None, 0),
    "kv_state_kind": (None, "kv_cache"),
    "prefix_cache_max_num_recycling_seqs": (None, 0),
    "opt": (None, "O0"),
    "prefill_mode": ("hybrid",),
}
POSITIVE = (
    "max_num_sequence", "max_total_sequence_length", "max_single_sequence_length",
    "prefill_chunk_size", "threads", "max_waiting", "tensor_parallel_shards",
    "pipeline_parallel_stages",
)  # fmt: skip
CHOICES: dict[str, tuple[Any, ...]] = {
    "mode": (None, *get_args(Mode)),
    "prefix_cache_mode": ("disable", "radix"),
    "kv_dtype": ("auto", "f32", "bf16", "int8"),
}


def check_values(config: EngineConfig) -> None:
    """Raises ConfigError: the field, the rule and the value given."""
    if config.kv_cache_page_size != PAGE_SIZE:
        raise ConfigError(f"kv_cache_page_size must be 16, found {config.kv_cache_page_size}")
    for name, known in CHOICES.items():
        if getattr(config, name) not in known:
            listed = ", ".join(str(value) for value in known if value)
            raise ConfigError(f"{name} must be one of {listed}, found {getattr(config, name)!r}")
    for name, possible in ABSENT.items():
        value = getattr(config, name)
        if value not in possible:
            raise ConfigError(f"{name}={value!r} is not available in this version of raylax")
    for name in ("verbose", "pin_threads"):
        if type(getattr(config, name)) is not bool:
            raise ConfigError(f"{name} must be true or false, found {getattr(config, name)!r}")
    for name in POSITIVE:
        value = getattr(config, name)
        if value is not None and (type(value) is not int or value < 1):
            raise ConfigError(f"{name} must be a positive integer, found {value!r}")
    share = config.gpu_memory_utilization
    if share is not None and not (isinstance(share, float | int) and 0 < share < 1):
        raise ConfigError(f"gpu_memory_utilization must lie between 0 and 1, found {share!r}")
    share = config.gpus_per_rank
    if not (type(share) in (float, int) and 0 < share <= 1):
        raise ConfigError(f"gpus_per_rank must be above 0 and at most 1, found {share!r}")


def check_agreement(config: EngineConfig, **given: str | None) -> None:
    """What the constructor is given must not contradict the config."""
    for name, value in given.items():
        other = getattr(config, name)
        if other is not None and value is not None and other != value:
            raise ConfigError(
                f"{name} is {value!r} in the constructor and {other!r} in engine_config; "
                f"leave engine_config.{name} out"
            )


@dataclass(frozen=True)
class Sizes:
    """The numbers that size an engine, all known."""

    max_num_sequence: int
    max_single_sequence_length: int
    max_total_sequence_length: int
    prefill_chunk_size: int
    pages: int
