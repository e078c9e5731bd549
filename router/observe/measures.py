"""What routers have measured of the calls of a model: plain data, which can be sent and added."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from pydantic import BaseModel

from raylax.router.observe.acts import Act

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
BUCKETS_TOKENS = tuple(one * 10**power for power in range(6) for one in (1, 2, 5))
BUCKETS_N = (1, 2, 5, 10, 20)


class HistogramKind(NamedTuple):
    """What a histogram measures, and where its buckets end."""

    text: str
    limits: tuple[float, ...]


TTFT, ITL = "vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds"
E2E = "vllm:e2e_request_latency_seconds"
TPOT = "vllm:request_time_per_output_token_seconds"
QUEUE, PREFILL = "vllm:request_queue_time_seconds", "vllm:request_prefill_time_seconds"
DECODE, INFERENCE = "vllm:request_decode_time_seconds", "vllm:request_inference_time_seconds"
PROMPT, GENERATION = "vllm:request_prompt_tokens", "vllm:request_generation_tokens"
COMPUTED = "vllm:request_prefill_kv_computed_tokens"
MOST_GENERATED = "vllm:request_max_num_generation_tokens"
ASKED_N, ASKED_TOKENS = "vllm:request_params_n", "vllm:request_params_max_tokens"
ADMISSION = "raylax_admission_wait_seconds"
HISTOGRAMS = {
    TTFT: HistogramKind("From arrival to first token", BUCKETS_S),
    ITL: HistogramKind("Between pieces of a stream", BUCKETS_S),
    E2E: HistogramKind("From arrival to the end", BUCKETS_S),
    TPOT: HistogramKind("Of a request, for each token after the first", BUCKETS_S),
    QUEUE: HistogramKind("From arrival until an engine begins", BUCKETS_S),
    PREFILL: HistogramKind("From there to the first token", BUCKETS_S),
    DECODE: HistogramKind("From the first token to the last", BUCKETS_S),
    INFERENCE: HistogramKind("From where an engine begins to the last token", BUCKETS_S),
    PROMPT: HistogramKind("Prompt tokens of a request", BUCKETS_TOKENS),
    COMPUTED: HistogramKind("Prompt tokens of a request not found in pages", BUCKETS_TOKENS),
    GENERATION: HistogramKind("Tokens generated for a request", BUCKETS_TOKENS),
    MOST_GENERATED: HistogramKind("Tokens of the longest choice of a call", BUCKETS_TOKENS),
    ASKED_N: HistogramKind("Choices that a call asks for", BUCKETS_N),
    ASKED_TOKENS: HistogramKind("Tokens that a request may have at most", BUCKETS_TOKENS),
    ADMISSION: HistogramKind("From arrival until a call is let through to the workers", BUCKETS_S),
}
SUCCESS, FAILED = "vllm:request_success", "raylax_calls_failed"
REFUSED, DECISIONS = "raylax_calls_refused", "raylax_routing_decisions"
ATTEMPTS = "raylax_attempts"
COUNTERS = {
    SUCCESS: ("Choices that ended, by reason", "finished_reason"),
    FAILED: ("Calls that ended early", ""),
    REFUSED: ("Calls that were not let in, by the code of the error", "code"),
    DECISIONS: ("Choices of a worker for a request", "policy"),
    ATTEMPTS: ("Requests that have left a worker, by what became of them there", "outcome"),
}
"""What they count, and their label, if they have one besides the model's."""
INFLIGHT, WAITING = "raylax_calls_inflight", "raylax_admission_waiting"
GAUGES = {
    INFLIGHT: "Calls running now",
    WAITING: "Calls that wait until they are let through to the workers",
}

BATCHES, BATCHES_ENDED = "raylax_batches", "raylax_batches_ended"
BATCH_REQUESTS = "raylax_batch_requests"


class Exemplar(NamedTuple):
    """One of the values in a bucket."""

    trace_id: str
    value: float
    at: float
    """Seconds since the epoch."""


class HistogramMeasures(BaseModel):
    """How many values are in each bucket, of one more than there are limits."""

    counts: list[int]
    sum: float
    exemplars: dict[int, Exemplar] = {}
    """By bucket: the last one of a call that is traced."""

    def add(self, other: "HistogramMeasures") -> None:
        """Those of another router."""
        pairs = zip(self.counts, other.counts, strict=True)
        self.counts, self.sum = [a + b for a, b in pairs], self.sum + other.sum
        for bucket, exemplar in other.exemplars.items():
            mine = self.exemplars.get(bucket)
            if mine is None or mine.at < exemplar.at:
                self.exemplars[bucket] = exemplar


class ModelMeasures(BaseModel):
    """What was measured of a model's calls, by names of HISTOGRAMS, COUNTERS and GAUGES."""

    histograms: dict[str, HistogramMeasures]
    counters: dict[str, dict[str, int]]
    """By value of the label; of those without one by an empty one."""
    gauges: dict[str, int]

    def add(self, other: "ModelMeasures") -> None:
        """Those of another router."""
        for name, histogram in other.histograms.items():
            self.histograms[name].add(histogram)
        for name, counts in other.counters.items():
            mine = self.counters.setdefault(name, {})
            for value, count in counts.items():
                mine[value] = mine.get(value, 0) + count
        for name, number in other.gauges.items():
            self.gauges[name] = self.gauges.get(name, 0) + number


class BatchMeasures(BaseModel):
    """What became of the batches of a directory that routers share."""

    open: int = 0
    """That have not ended: every router sees all of them."""
    running: int = 0
    """Of those, in the router itself."""
    ended: dict[str, int] = {}
    """Of those that it ran, by how they ended."""
    requests: dict[str, int] = {}
    """Lines that it has answered, by whether that was an error: completed, failed."""

    def add(self, other: "BatchMeasures") -> None:
        """Those of another router of the same directory."""
        self.open = max(self.open, other.open)
        self.running += other.running
        for mine, others in ((self.ended, other.ended), (self.requests, other.requests)):
            for name, count in others.items():
                mine[name] = mine.get(name, 0) + count


class RouterMeasures(BaseModel):
    """What one router has measured since its start, or several together."""

    router: str
    """Where other routers ask it; of several, of the first one."""
    models: dict[str, ModelMeasures]
    batches: BatchMeasures = BatchMeasures()


class RunningRequest(BaseModel):
    """A request on its way."""

    request_id: str
    model: str
    tenant: str
    workers: list[str]
    """Where it runs; empty: it waits for one."""
    phase: Literal["waits", "queued", "prefill", "decode"]
    age_s: float
    """Since its call's arrival."""
    prompt_tokens: int
    generated_tokens: int


class RouterReport(BaseModel):
    """What a router tells Metrics, every second and at its end."""

    router: str
    """Its name: where other routers ask it."""
    pid: int
    node: str
    """Ray's name of its machine."""
    state: Literal["ready", "ended"] = "ready"
    workers: dict[str, list[str]]
    """By model: those that it may give requests to."""
    held: dict[str, int] = {}
    """By model: requests that wait for their turn, or for a worker; also where none was seen."""
    longest: list[RunningRequest] = []
    """Of those that run: which do so for the longest time."""
    acts: list[Act] = []
    """What admins had it do last, the oldest first."""
    measures: RouterMeasures


def added_up(measures: Iterable[RouterMeasures]) -> RouterMeasures:
    """Those of several routers as one: all that a router measures can be added."""
    first, *others = [one.model_copy(deep=True) for one in measures]
    for other in others:
        first.batches.add(other.batches)
        for model, measured in other.models.items():
            if (mine := first.models.get(model)) is None:
                first.models[model] = measured
            else:
                mine.add(measured)
    return first
