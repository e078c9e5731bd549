"""The engine's configuration: what a user may set, and what follows when he does not."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self, get_args

from raylax.proto.pages import PAGE_SIZE
from raylax.worker.errors import ConfigError
from raylax.worker.itl_targets import TargetsMs, completed, fault_of
from raylax.worker.opt_flags import RULE as OPT_FLAGS
from raylax.worker.opt_flags import flags_of
from raylax.worker.option_rules import (
    BYTES,
    COUNT,
    COUNT_OR_ALL,
    GIVEN,
    MODELS,
    PAGE,
    POSITIVE,
    PROPER_SHARE,
    SWITCH,
    TEXT,
    THREADS,
    WHOLE_OR_SHARE,
    Rule,
    nothing_but,
    one_of,
    option,
    rule_of,
    whole_number,
)

Mode = Literal["local", "interactive", "server"]
ECHO = "mock://echo"
"""In the place of a library: an engine that says each prompt again, and needs no weights."""
SpeculativeMode = Literal["disable", "ngram", "small_draft", "eagle", "medusa", "self"]
MOST_DRAFTED = 16
"""Tokens of drafts in a step, of one sequence or of all."""
GPU_UTILIZATION, CPU_UTILIZATION = 0.9, 0.4
"""What `gpu_memory_utilization` is where nothing is said: of other processes, and what a driver
keeps for itself, a tenth of a GPU is left; on a CPU others live in the same memory."""
MOST_BESIDE = 4
"""Tokens that are proposed for one position."""
OPT = Rule(
    lambda value: value is None or flags_of(value) is not None,
    f"{{name}} must be {OPT_FLAGS}; found {{value!r}}",
)
DRAFT, WIDTH = whole_number(0, MOST_DRAFTED), whole_number(1, MOST_BESIDE)


FurtherModel = str | tuple[str, str]
"""Where another model lies, or that and what it is run by."""


def path_text(name: str, value: str | os.PathLike[str] | None) -> str | None:
    """A path as text. Raises ConfigError for what is none."""
    text = value if isinstance(value, str | None) else getattr(value, "__fspath__", lambda: 0)()
    if text == "" or not isinstance(text, str | None):
        raise ConfigError(f"{name} must be text or a path, found {value!r}")
    return text


def further_model(given: Any) -> FurtherModel:
    """As it is kept: paths as text, and no pair without a library. Raises ConfigError."""
    pair = given if isinstance(given, list | tuple) else (given, None)
    path, library = (path_text("additional_models", one) for one in pair)
    assert path is not None, "a rule of the option"
    return path if library is None else (path, library)


def path_and_library(model: FurtherModel) -> tuple[str, str | None]:
    """Where it lies, and what it is run by; None: what the store has."""
    return (model, None) if isinstance(model, str) else model


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
    """What the model is run by, if it was compiled before: on a GPU the directory of machine code
    that `raylax compile --target` wrote, on a CPU a directory of the store's `library`, or a copy
    of one anywhere. One that was made for another model is refused. Else by MLC_JIT_POLICY.
    mock://echo: no model, but an engine that says each prompt again, for tests of what is around
    it; then the weights need not be there."""
    additional_models: tuple[FurtherModel, ...] = option((), MODELS)
    """The model that drafts, where `speculative_mode` asks for one; left out if the model brings it
    in a directory of that name. A pair has beside it what that one is run by, as `model_lib`."""
    mode: Mode | None = option(None, one_of(None, *get_args(Mode)))
    """How much to hold at once: local 4 sequences, interactive 1, server up to 64, on a GPU 256, as
    many as the KV cache has 128 tokens for."""
    tensor_parallel_shards: int | None = option(None, POSITIVE)
    """Devices that share each layer."""
    pipeline_parallel_stages: int | None = option(None, POSITIVE)
    """Devices that share the layers among them."""
    gpu_memory_utilization: float | None = option(None, PROPER_SHARE)
    """On a GPU the share of all its memory that weights, workspace and KV cache may take together,
    which must be free; inferred: 0.9, or less where others use it. On a CPU the share that KV
    caches, those of all replicas, may take of what the host has free beside weights and workspace;
    inferred: 0.4."""
    kv_cache_bytes: int | None = option(None, POSITIVE)
    """Most bytes that the KV cache of each rank may take, whatever else is free: for who shares a
    machine out among several engines. Inferred: by gpu_memory_utilization."""
    swap_space_bytes: int | None = option(None, BYTES)
    """Most bytes of host memory for pages of requests that give way, copied there and back where
    that takes less than computing them. 0: none; inferred: an eighth of kv_cache_bytes."""
    gpus_per_rank: float = option(1.0, WHOLE_OR_SHARE)
    """One, or a share of one: then a rank counts on no more of its memory, and
    gpu_memory_utilization is of that share."""
    kv_cache_page_size: int = option(PAGE_SIZE, PAGE)
    """Tokens in a page; 16."""
    max_num_sequence: int | None = option(None, POSITIVE)
    """Sequences that run at once."""
    max_total_sequence_length: int | None = option(None, POSITIVE)
    """Tokens that the KV cache holds."""
    max_single_sequence_length: int | None = option(None, POSITIVE)
    """Tokens of one sequence, prompt and answer; at most the model's own limit."""
    prefill_chunk_size: int | None = option(None, POSITIVE)
    """Most tokens in one step; raised to `max_num_sequence`, so that every decode has its token."""
    sliding_window_size: int | None = option(None, COUNT)
    """Tokens that attention sees, in all layers: a token's own, the ones before it, and the sinks.
    0: as the model has it, all of them or its own windows. Where every layer has one, pages behind
    all of them are given back while a sequence runs, but for those of the sinks: not where one
    layer sees everything, nor where a draft model or head reads the same pages."""
    attention_sink_size: int | None = option(None, COUNT)
    """How many of those are the first tokens of the sequence, which stay in sight at the positions
    that they have, and are not rotated again."""
    max_history_size: int | None = option(None, nothing_but(None, 0))
    """Steps that a recurrent model can be rolled back."""
    kv_state_kind: Literal["kv_cache", "rnn_state"] | None = option(
        None, nothing_but(None, "kv_cache")
    )
    """What is kept between steps."""
    speculative_mode: SpeculativeMode = option("ngram", one_of(*get_args(SpeculativeMode)))
    """Who proposes tokens for the model to verify several in a step, which changes none of them.
    ngram: the text so far, by where its last tokens stood before. small_draft: a small model of the
    same tokenizer. eagle: a head of EAGLE-1, 2 or 3 that was made for the model. medusa: heads of
    Medusa's. self: the layer that the model itself brings for this (MTP)."""
    spec_lookup_answers: bool = option(False, SWITCH)
    """Whether ngram looks into the last few texts of the same tenant, too."""
    spec_draft_length: int = option(0, DRAFT)
    """Tokens proposed at once; 0: as many as pay."""
    spec_tree_width: int = option(1, WIDTH)
    """Tokens proposed for the position behind the last one, where a model drafts: the others are
    verified beside the draft, each as a branch."""
    spec_draft_quantization: str = option("auto", TEXT)
    """Of the weights of what drafts, as `quantization`, whatever the model's own is: it changes no
    token, and drafts cost less."""
    prefix_cache_mode: Literal["disable", "radix"] = option("radix", one_of("disable", "radix"))
    """Whether pages of ended requests are kept, to be shared by prompts with the same beginning."""
    prefix_cache_max_num_recycling_seqs: int | None = option(None, COUNT_OR_ALL)
    """Sequences whose pages are kept after their end, the last ones; 0: none, so that only requests
    that run at the same time share pages; -1, and inferred: all, until others need the room."""
    prefill_mode: Literal["chunked", "hybrid"] = option("hybrid", one_of("chunked", "hybrid"))
    """hybrid: prefill chunks and decodes share a step. chunked: they take turns. The tokens are the
    same."""
    pooling: Literal["auto", "last", "mean", "cls"] = option(
        "auto", one_of("auto", "last", "mean", "cls")
    )
    """Whose state an embedding is: the last token's, a mean over all, or (cls) the first token's.
    auto: as the files of sentence-transformers say, else the last one's. For a mean, and for the
    first token, all of a text is computed, whatever the prefix cache has of it."""
    target_itl_ms: TargetsMs = "auto"
    """Milliseconds that a step with decodes may take: prefills fill it no further, and have an
    eighth of its time at least. For all, or for each class, as {high: 30, low: 500}: the strictest
    of those that decode holds. auto, and who is left out: three times what decodes take alone, as
    was learned, and any while eight or more wait for first tokens. 0: any. One value, or auto, for
    all is three times as long where only requests of the class low decode."""
    verbose: bool = option(True, SWITCH)
    """Log the progress of loading, at level INFO."""
    opt: str | None = option(None, OPT)
    """O0 to O3, or flags as cublas_gemm=1;cudagraph=0. On GPUs cudagraph, which O2 and O3 have, and
    which is inferred, lets short steps be graphs. Vendors' libraries are not used, whatever is
    asked for: the complete configuration says what is in effect."""
    quantization: str = option("auto", TEXT)
    """Of the weights: q0f32, q0bf16, q0f16, w8a8, q8f32_0, q4f32_0, q4f32_1, on GPUs q0bf16, q0f16,
    q8, fp8, q4f16_1, q4f16_1_g128, mxfp4 (of experts); auto: as the checkpoint has
    them."""
    kv_dtype: Literal["auto", "f32", "bf16", "f16", "int8", "fp8"] = option(
        "auto", one_of("auto", "f32", "bf16", "f16", "int8", "fp8")
    )
    """Of keys and values, f16 and fp8 on GPUs alone; auto is what suits the weights."""
    overlap_launches: bool = option(False, SWITCH)
    """On GPUs from sm_90 on: whether a kernel may be started before the one ahead of it has ended
    (programmatic dependent launch). Not tried on a GPU yet."""
    threads: int | None = option(None, THREADS)
    """Of each rank's compiled step; inferred: the cores that this process may use, shared out."""
    pin_threads: bool = option(False, SWITCH)
    """Whether the step's threads get cores of their own, if so many are free. In the complete
    configuration: whether they did."""
    max_waiting: int = option(1024, GIVEN)
    """Requests that may wait for their prefill; more are refused. Each tenant has a part."""

    def __post_init__(self) -> None:
        """Raises ConfigError: the field, the rule and the value given. Paths become text, and what
        stands for no further models an empty tuple."""
        for each in fields(self):
            value, rule = getattr(self, each.name), rule_of(each)
            if rule is not None and not rule.holds(value):
                raise ConfigError(rule.error.format(name=each.name, value=value))
        if (fault := fault_of("target_itl_ms", self.target_itl_ms)) is not None:
            raise ConfigError(fault)
        object.__setattr__(self, "target_itl_ms", completed(self.target_itl_ms))
        for name in ("model", "model_lib"):
            object.__setattr__(self, name, path_text(name, getattr(self, name)))
        if (library := self.model_lib or "").startswith("mock:") and library != ECHO:
            raise ConfigError(f"model_lib must be {ECHO}, or a path, found {library!r}")
        further = tuple(further_model(one) for one in self.additional_models or ())
        object.__setattr__(self, "additional_models", further)
        sinks, window = self.attention_sink_size or 0, self.sliding_window_size or 0
        if sinks and sinks >= window:
            raise ConfigError(
                "attention_sink_size must be less than sliding_window_size, found "
                f"{sinks} and {window}"
            )

    @property
    def checkpoint(self) -> Path:
        """Where the model lies: it is named by the time it is loaded."""
        assert self.model is not None
        return Path(self.model)

    def asjson(self) -> str:
        """Every field, as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As `asjson` writes it, or with some of the fields. Raises ConfigError."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"engine config: not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"engine config: must be a JSON object, found {values!r}")
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Of the fields given, lists for tuples. Raises ConfigError; for an unknown key it names
        the nearest known one."""
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(f"engine config: {unknown_key(key, key, known)}")
        return cls(**values)

    def complete(self, **inferred: Any) -> Self:
        """The same configuration with these values instead of its own. Raises ConfigError."""
        return replace(self, **inferred)


ABSENT = tuple(f.name for f in fields(EngineConfig) if (rule := rule_of(f)) and rule.absent)
"""Options of the original engine that can be set to what they are, and to nothing else."""


def unknown_key(key: str, shown: str, known: Iterable[str]) -> str:
    """What is said of a key that is not known, with the nearest of those that are. `shown`: the key
    as its reader finds it, with the sections that it stands in."""
    near = get_close_matches(key, known, 1)
    return f"unknown key {shown!r}" + (f"; did you mean {near[0]}?" if near else "")


def check_agreement(config: EngineConfig, **given: str | None) -> None:
    """Raises ConfigError where a constructor is given something else than the config says."""
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
    drafted: int = 0
    """Tokens of drafts in a step."""

    @property
    def step_rows(self) -> int:
        """From which a step may draw."""
        return self.max_num_sequence + self.drafted
