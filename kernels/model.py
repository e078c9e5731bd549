"""The contract of a model that runs: what a rank may ask of one, whatever it runs on.

`CpuModel` and `DeviceModel` fulfil it; `raylax.kernels.build.load_whole` chooses.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from raylax.kernels.draws.rules import StepDraws
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Place
from raylax.kernels.spec import DecoderSpec

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


class DeviceGroup(Protocol):
    """The GPUs of the ranks that share each layer, in their order."""

    def allgather(self, address: int, size: int, stream: int) -> None:
        """Put on a stream, or into what it captures: from `address` on lie as many bytes of each
        rank, one after the other; every rank gets those of the others where its own have room for
        them. All ranks do so in the same order. What it raises is the group's."""
        ...

    def check(self) -> None:
        """Raises what it does where the group has ended, and no step must be run or used."""
        ...


@dataclass(frozen=True)
class Seat:
    """Where one of several ranks sits: its number, and what it shares with its stage."""

    rank: int = 0
    shared: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    """The program's shared buffers, see `Program.shared_in`."""
    call: int = 0
    """Address of the call of `raylax.kernels.cpu.tir.exchange`; 0: the memory is shared."""
    group: DeviceGroup | None = None
    """Of several ranks on GPUs, what they meet by."""


class StepBatch(NamedTuple):
    """What a step computes: any mix of prefill chunks and decodes, T tokens of B sequences."""

    tokens: Ints
    """[T]: what is new, sequence after sequence. -1 - r is the token that row r of the step before
    draws, for a `SubmittingModel`."""
    positions: Ints
    """[T]: of each in its sequence."""
    slots: Ints
    """[T]: where its keys and values go: page * 16 + offset."""
    query_starts: Ints
    """[B + 1]: where each sequence's new tokens begin."""
    kv_lengths: Ints
    """[B]: keys that it sees at the end."""
    page_table: Ints
    """[B, P]: the pages of each, from the first on."""
    rows: Ints
    """[S]: indices of tokens whose logits are wanted."""
    draws: StepDraws | None = None
    """How the rows are drawn, for a model that draws; None: no row has a rule."""


class StepOutput(NamedTuple):
    """What a step came to: views, valid until the next step."""

    logits: Floats
    """[rows, vocab], changed where a row's rule says so. A GPU's are copied when they are asked
    for."""
    drawn: Ints
    """[rows]: the token of each. Of a row with a rule what is drawn by it, as
    `raylax.kernels.draws.definition` says; without one the first index of its largest logit."""
    hidden: Floats
    """[rows, hidden]: what the logits are made of, after the final norm."""
    largest: Floats
    """[rows]: the largest logit. Where it is NaN or infinite, no token was drawn."""


class Model(Protocol):
    """Weights and pages behind one `step`. Used by one thread, which TVM's thread pool belongs to.

    A row of a step's output has the same bits whatever shares the step with it (law 1).
    """

    spec: DecoderSpec
    options: ModelOptions
    library: str
    """Where the compiled functions came from: a path, or `in memory`."""
    quantization: str
    kv_dtype: str
    pages: int
    """How many pages there are."""
    page_bytes: int
    """Length of what `read_page` gives."""
    draws: bool
    """Whether it draws by the rules of a batch. Else it is given none, and whoever runs it draws
    from the logits."""
    tile_rows: int
    """Rows of a step that are computed together: of what a row more costs, most is a tile more."""
    seat: Seat
    place: Place
    mapped: Path | None
    """The directory of the weights that it has mapped; None where it has mapped none."""

    def step(self, batch: StepBatch) -> StepOutput:
        """Run one ragged batch."""
        ...

    def read_page(self, page: int) -> bytes:
        """Keys and values of a page's tokens, of all layers."""
        ...

    def write_page(self, page: int, content: bytes) -> None:
        """What `read_page` gave; ValueError if it is not of this size."""
        ...

    def seconds_by_operator(self) -> dict[str, float]:
        """Where the last step's time went; empty where operators are not timed."""
        ...

    def weights_and_copies(self) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Each weight as it is in this model's memory, and as it lies in the store; empty where
        nobody else can write to that memory."""
        ...


class PendingStep(Protocol):
    """A step that a device was given. Steps are done in their order, pages are read and written
    between them; who does not want its output may forget it."""

    @property
    def is_last(self) -> bool:
        """The device was given no other since, so the next one can take the tokens that it
        draws."""
        ...

    @property
    def is_done(self) -> bool:
        """The device has come to its end: nobody would wait for its output. Raises DeviceError for
        what went wrong before."""
        ...

    def output(self) -> StepOutput:
        """What it came to, when it is done. When the next step was given, only `drawn` and
        `largest` are there; after yet another, nothing is. Raises DeviceError."""
        ...


@runtime_checkable
class SubmittingModel(Model, Protocol):
    """A model whose steps are done by a device while the host goes on."""

    def submit(self, batch: StepBatch) -> PendingStep:
        """Give it a step. `Model.step` is to wait for its output. Raises DeviceError."""
        ...


@runtime_checkable
class MeetingModel(Model, Protocol):
    """A model whose shards meet in its step, and which takes the time of that."""

    def meeting_s(self) -> float:
        """Of the last step the time at the meetings of its shards, until what they brought there is
        added up."""
        ...


class TappedModel(Model, Protocol):
    """A model that keeps the residual streams which `options.taps` names."""

    def tapped(self, tokens: Ints) -> Floats:
        """f32[tokens, taps * hidden]: those of these tokens of the last step, without padding. They
        are the caller's."""
        ...


class StagedModel(Model, Protocol):
    """A model that runs a stage of its layers: what comes before and after is another rank's."""

    def run_layers(self, batch: StepBatch) -> None:
        """The first half of `step`. A stage that is not the first one finds in `hidden` what it
        goes on from, and every stage leaves there what it came to."""
        ...

    def run_head(self, rows: Ints) -> StepOutput:
        """The second half, in the last stage. Of several shards the first one has the output."""
        ...

    def hidden(self, count: int) -> Floats:
        """f32[count, hidden]: the residual stream of a step's tokens, with what padding the model's
        stages have."""
        ...
