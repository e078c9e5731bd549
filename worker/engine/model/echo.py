"""An engine that says each prompt again: no weights, no compiler, and everything else as it is.

For tests of what is around an engine. A prompt comes back token by token, whatever is asked of its
sampling, and ends with `stop` where it ends, or with `length` where it is longer than the answer
may be. Who ends by no token at all (`ignore_eos`) hears it again and again.
"""

from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.model import Seat, StepBatch, StepOutput
from raylax.kernels.options import ModelOptions
from raylax.kernels.spec import DecoderSpec
from raylax.proto.pages import PAGE_SIZE, pages_for
from raylax.worker.config import ECHO, EngineConfig, Sizes
from raylax.worker.ranks import debug
from raylax.worker.ranks.rank import Rank
from raylax.worker.sampling.rules import PLAIN
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.flight import Flight
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan

SEQUENCES, POSITIONS, CHUNK = 32, 4096, 2048
"""Where the configuration says nothing; the original's."""
CERTAIN = 100.0
"""The logit of what is said; all others are 0."""


def echo_sizes(config: EngineConfig, spec: DecoderSpec) -> Sizes:
    """Of an engine that needs no memory."""
    sequences = config.max_num_sequence or SEQUENCES
    single = config.max_single_sequence_length or min(spec.max_positions, POSITIONS)
    total = config.max_total_sequence_length or sequences * single
    chunk = max(config.prefill_chunk_size or CHUNK, sequences)
    return Sizes(sequences, min(single, total), total, chunk, pages_for(total))


class EchoModel:
    """In the place of a model: it keeps each token in its page, and has logits of nothing."""

    draws, tile_rows = False, 1
    mapped: Path | None = None
    library, quantization, kv_dtype = ECHO, "q0f32", "f32"

    def __init__(self, spec: DecoderSpec, pages: int) -> None:
        self.spec, self.options, self.seat = spec, ModelOptions(threads=1), Seat()
        self.place = self.options.degree.place(spec, 0)
        self.pages, self.page_bytes = pages, PAGE_SIZE * 4
        self._tokens: npt.NDArray[np.int32] = np.zeros((pages, PAGE_SIZE), np.int32)

    def step(self, batch: StepBatch) -> StepOutput:
        """Keeps the tokens; every row is alike."""
        self._tokens.reshape(-1)[batch.slots] = batch.tokens
        return outputs(np.zeros(len(batch.rows), np.int32), self.spec, logits=True)

    def read_page(self, page: int) -> bytes:
        """Its tokens."""
        return bytes(self._tokens[page].tobytes())

    def write_page(self, page: int, content: bytes) -> None:
        """What `read_page` gave; ValueError if it is not of this size."""
        if len(content) != self.page_bytes:
            raise ValueError(f"a page has {self.page_bytes} bytes, found {len(content)}")
        self._tokens[page] = np.frombuffer(content, np.int32)

    def seconds_by_operator(self) -> dict[str, float]:
        """It has none."""
        return {}

    def weights_and_copies(self) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """It has none."""
        return {}


class EchoExecutor:
    """The executor of such an engine."""

    submit = None
    fault: str | None = None

    def __init__(self, rank: Rank, sizes: Sizes) -> None:
        self.rank, self.sizes = rank, sizes

    @classmethod
    def load(cls, config: EngineConfig) -> "EchoExecutor":
        """By what is said of the model that the configuration names. Raises CheckpointError."""
        spec = open_checkpoint(config.checkpoint, weights=False).spec
        sizes = echo_sizes(config, spec)
        return cls(Rank(EchoModel(spec, sizes.pages)), sizes)

    def run(self, plan: StepPlan) -> StepOutput:
        output = self.rank.run(plan)
        assert output is not None
        return output

    def call(self, name: str, args: Several[Any]) -> list[Any]:
        return debug.call(self.rank, name, args)

    def describe(self) -> list[dict[str, Any]]:
        return []

    def read_pages(self, pages: Several[int]) -> list[bytes]:
        return [self.rank.model.read_page(page) for page in pages]

    def write_pages(self, pages: Several[int], contents: Several[bytes]) -> None:
        for page, content in zip(pages, contents, strict=True):
            self.rank.model.write_page(page, content)

    def close(self) -> None:
        """There is nothing to end."""


@dataclass
class EchoRoster(Roster):
    """A roster as it is, but for what ends an answer."""

    vocab: int = 0

    def add(self, one: Sequence) -> None:
        """Its end is a token that no prompt has, so that those may have what ends an answer."""
        ends = frozenset([self.vocab] if one.request.stop_token_ids else ())
        request = replace(one.request, stop_token_ids=ends)
        echoed = Sequence(request, one.deadline, one.longest, one.needs)
        echoed.own_rule, echoed.rule = PLAIN, PLAIN
        super().add(echoed)


@dataclass
class EchoBatch(Batch):
    """Batches as they are, but for what is drawn."""

    spec: DecoderSpec | None = None

    def _run(self, flight: Flight) -> StepOutput:
        """What is said is known; the step is run all the same, as it may fail."""
        assert self.spec is not None
        super()._run(flight)
        said = [
            echo(one, one.computed + at, self.spec.vocab)
            for one, count, wanted in flight.batch
            for at in range(count - wanted, count)
        ]
        looked_at = any(one.request.sampling.top_logprobs is not None for one, _, _ in flight.batch)
        return outputs(np.array(said, np.int32), self.spec, looked_at)


def echo(one: Sequence, position: int, end: int) -> int:
    """The token that comes after the one at a position: the prompt's, from its first on."""
    prompt = one.request.prompt
    at = position + 1 - len(prompt)
    if at >= len(prompt) and one.request.stop_token_ids:
        return end
    return prompt[at % len(prompt)]


def outputs(said: npt.NDArray[np.int32], spec: DecoderSpec, logits: bool) -> StepOutput:
    """A step's output in which these tokens are certain. `logits`: somebody looks at them."""
    rows = len(said)
    scores = np.zeros((rows, spec.vocab + 1 if logits else 0), np.float32)
    if logits:
        scores[np.arange(rows), said] = CERTAIN
    hidden = np.ones((rows, spec.hidden), np.float32)
    return StepOutput(scores, said, hidden, np.full(rows, CERTAIN, np.float32))
