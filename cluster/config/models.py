"""What may differ from model to model: for all at the top of the file, for one in its entry."""

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from raylax.cluster.config.sections import Library, ScheduledLeast, Section
from raylax.proto.parsers.reasoning import REASONING_NAMES
from raylax.proto.parsers.tools.formats import AUTO, TOOL_PARSERS
from raylax.proto.text.judging import RERANKERS
from raylax.router.policies import DEFAULT, POLICIES
from raylax.worker.config import ECHO, EngineConfig, Mode
from raylax.worker.itl_targets import MOST_MS

DEMO_MODEL = "demo"


class ModelSettings(Section):
    """A model and its workers. What has the name of one of the engine's own settings reaches the
    engine by that name; `engine` holds all others."""

    model: str = DEMO_MODEL
    """A checkpoint directory, a GGUF file, org/name or org/name:Q4_K_M of Hugging Face, a
    short name as smollm2, or demo."""
    served_model_name: str | None = None
    """The name that clients ask for; else the directory's."""
    aliases: tuple[str, ...] = ()
    """Further names that clients may ask for; with `*` in it one stands for many, as claude-*."""
    replicas: int = Field(1, ge=0)
    """Workers at least; 0: none while nobody has asked for `autoscaling.idle_s`, and the next one
    waits for a start. 16 ranks for each core at most, those of all models together."""
    max_replicas: int | None = Field(None, ge=1)
    """Workers at most, by load; else as many as replicas. The cores are shared as if they were
    there."""
    schedule: tuple[ScheduledLeast, ...] = ()
    """Workers at least by the calendar, for peaks that are known: a list of `cron`, `replicas`."""
    ttft_p99_ms: float | None = Field(None, gt=0)
    """Until the first token, of 99 % of the requests. Workers are added for it, and who would wait
    longer is refused (`limits.refuse_late`); null: a backlog of a second is too long, and nobody is
    refused for it."""
    itl_p99_ms: float | None = Field(None, gt=0, le=MOST_MS)
    """Between two tokens, the mean of an answer. Workers are added for it, and prefills leave the
    steps of others so short (`engine.target_itl_ms`, if that is not set); null: ten steps of an
    empty batch, and `engine.target_itl_ms` is auto."""
    scaling_weight: float = Field(1.0, gt=0)
    """What it is worth that this model is in time, compared with others in `autoscaling.pool`."""
    scaling_cost: float | None = Field(None, gt=0)
    """Of a worker, in `autoscaling.pool`; null: its GPUs, or on CPUs its ranks."""
    tensor_parallel_shards: int = Field(1, ge=1)
    """Ranks of a worker that share each layer."""
    pipeline_parallel_stages: int = Field(1, ge=1)
    """Ranks of a worker that share the layers among them."""
    placement: Literal["host", "cluster"] = "host"
    """host: all ranks of a worker lie on one; cluster: on several if need be."""
    policy: str = Field(DEFAULT, description=f"Who gets a request: {', '.join(POLICIES)}.")
    tool_parser: str = Field(
        AUTO,
        description="How the model's tool calls are read; auto: as its files and its chat template "
        f"say. One of {', '.join(TOOL_PARSERS)}.",
    )
    reasoning_parser: str = Field(
        AUTO,
        description="How the model's thoughts are told from what it says; auto: as its chat "
        f"template shows. One of {', '.join(REASONING_NAMES)}.",
    )
    reranker: str = Field(
        AUTO,
        description="How /v1/score and /v1/rerank score a pair of texts; none: by their "
        "embeddings; yes_no: by the probability of yes, against no, as what the model says of "
        "them; auto: as its files say, else by embeddings. A model with a head for labels has one "
        "of its own, and yes_no shows it pairs as Qwen3-Reranker is shown them.",
    )
    device: str = "auto"
    """cpu, cuda, or auto: a GPU on which our kernels were checked and held, else the CPU."""
    gpus_per_rank: float = Field(1.0, gt=0, le=1)
    """On GPUs: less than one lets several workers share a GPU and its memory. Ranks that share a
    model have a whole one each."""
    model_lib: Library | None = None
    """What the model is run by, if it was compiled before: on GPUs the directory of machine code
    that `raylax compile --target` wrote, on CPUs one of the store's `library`, or a copy.
    mock://echo: each prompt is said again, for tests, and weights need not be there."""
    quantization: str = "auto"
    """Of the weights: q0f32, q0bf16, q0f16, w8a8, q8f32_0, q4f32_0, q4f32_1, on GPUs q0bf16, q0f16,
    q8, fp8, q4f16_1, q4f16_1_g128, mxfp4 (of experts); auto: as the checkpoint has them."""
    mode: Mode = "server"
    """local: 4 sequences; interactive: 1; server: many."""
    max_num_sequence: int | None = Field(None, ge=1)
    """Sequences that a worker runs at once; else what the mode says."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Fields of the engine's own configuration, but for those that are keys of this file."""

    @property
    def most_replicas(self) -> int:
        """Workers that there may be."""
        return self.max_replicas or max(1, self.replicas)

    @property
    def has_weights(self) -> bool:
        """Whether there is a model, and not one that echoes."""
        return self.model_lib != ECHO

    @property
    def ranks(self) -> int:
        """Ranks of each worker."""
        return self.tensor_parallel_shards * self.pipeline_parallel_stages

    def check(self) -> None:
        """Raises ValueError for values that do not agree, or that somebody else knows better."""
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas must be at least replicas, found {self.max_replicas} and "
                f"{self.replicas}"
            )
        for entry in self.schedule:
            if entry.replicas > self.most_replicas:
                raise ValueError(
                    f"schedule: replicas must be at most max_replicas={self.most_replicas}, found "
                    f"{entry.replicas} from {entry.cron} on"
                )
        if self.policy not in POLICIES:
            known = ", ".join(sorted(POLICIES))
            raise ValueError(f"policy must be one of {known}, found {self.policy}")
        parsers = {
            "tool_parser": tuple(TOOL_PARSERS),
            "reasoning_parser": REASONING_NAMES,
            "reranker": RERANKERS,
        }
        for name, names in parsers.items():
            if (found := getattr(self, name)) not in (AUTO, *names):
                raise ValueError(f"{name} must be one of {AUTO}, {', '.join(names)}, found {found}")
        self.engine_config(1)

    def engine_config(self, threads: int | None) -> EngineConfig:
        """What each worker's engine is told; without `threads` it looks for itself how many cores
        there are. Raises ConfigError, a ValueError."""
        target_itl_ms = "auto" if self.itl_p99_ms is None else self.itl_p99_ms
        inferred = {"threads": threads, "target_itl_ms": target_itl_ms, **ENGINE_DEFAULTS}
        given = {name: value for name, value in self.engine.items() if value is not None}
        own = self.model_dump(mode="json", include=set(OF_THE_ENGINE), exclude_none=True)
        return EngineConfig.from_dict({**inferred, **given, **own})


OF_THE_ENGINE = (ModelSettings.model_fields.keys() & EngineConfig.__dataclass_fields__.keys()) - {
    "model"
}
"""Settings that the engine has by the same name. Its model is a directory, ours may be a name."""
ENGINE_DEFAULTS = {"pin_threads": True}
"""Where a cluster differs from an engine alone: it knows that the cores are its own."""


class ModelEntry(ModelSettings):
    """One of several models: what it says holds for it, and else what stands at the top."""

    model: str

    @model_validator(mode="before")
    @classmethod
    def _null_says_nothing(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}

    @model_serializer(mode="wrap")
    def _what_it_says(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Read again, it must not say more: a default would then hide what stands at the top."""
        return {name: value for name, value in write(self).items() if name in self.model_fields_set}

    @property
    def given(self) -> dict[str, Any]:
        """What is put in place of what stands at the top: what it says, and its own names in any
        case."""
        names = {"served_model_name": self.served_model_name, "aliases": self.aliases}
        return {**names, **self.model_dump()}
