"""The compiled sampler and its memory: rows and rules in, tokens out."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.cpu.program import LINE
from raylax.kernels.cpu.sampler.arguments import ARGUMENTS, NAME
from raylax.kernels.draws.definition import UNIT_BITS, scattered
from raylax.kernels.memory import aligned_copy, aligned_zeros, is_aligned
from raylax.kernels.runtime import as_tensor

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
LANES = 16


TAKEN = "rows", "typicals", "starts", "ids", "biases", "counts", "mask_rows", "masks", "tops"
MADE = "drawn", "largest", "peaks", "sums"


class RowDraws(NamedTuple):
    """What is wanted of some rows of logits. Of each row by its place in `rows`, [R]."""

    rows: Ints
    """Which rows."""
    rules: npt.NDArray[Any]
    """RULE[R], whose keys do not count; a position below 0: nothing is drawn."""
    keys: npt.NDArray[np.uint64]
    """Of each draw."""
    typicals: npt.NDArray[np.float64]
    """The typical-p of each: GPUs have none, so no RULE has it."""
    starts: Ints
    """[R + 1]: where its changes begin and end."""
    ids: Ints
    """The token of each change, as `StepDraws` has it."""
    biases: Floats
    counts: Ints
    """FORBIDDEN, in place of how often the answer has it: it is not drawn."""
    mask_rows: Ints
    """Which of the masks the row has; -1: none."""
    masks: Ints
    """[M, vocabulary / 32]: bit i of word w says whether the token 32 * w + i may be drawn."""
    tops: Ints
    """How many of the likeliest tokens are wanted beside the sum; -1: neither."""


class Drawn(NamedTuple):
    """What came of them, [R]: views, valid until the next call."""

    tokens: Ints
    """Undefined where `largest` is not finite."""
    largest: Floats
    """The largest logit that could be drawn; NaN if there is one in the row."""
    peaks: Floats
    """The largest logit, and what e^(logit - peak) of all of them comes to."""
    sums: npt.NDArray[np.float64]
    likeliest: Ints
    """[R, most]: the likeliest tokens, by their ids."""


class Sampler:
    """Draws by the compiled function; for one thread, which TVM's thread pool belongs to."""

    def __init__(self, functions: Any, threads: int) -> None:
        self._library = functions  # what is taken from it needs it alive
        self._function, self._threads = functions[NAME], threads
        self._memory = dict[str, npt.NDArray[Any]]()
        self._tensors = dict[str, Any]()
        self._vocab = 0
        self._room("counters", (1, LINE * (threads + 1)))
        self._room("ends", (2,))
        self._room("sizes", (4,))

    @property
    def nbytes(self) -> int:
        """The memory that it has now."""
        return sum(array.nbytes for array in self._memory.values())

    def draw(self, logits: Floats, draws: RowDraws) -> Drawn:
        """`logits`: [rows, vocabulary], whose rows have no gaps. Raises IndexError for a row or a
        token that is not there: the compiled function would read wild memory."""
        count, vocab = len(draws.rows), logits.shape[1]
        check_places(draws.rows, len(logits), "row")
        check_places(draws.ids, vocab, "token id")
        if vocab != self._vocab:
            self._learn(vocab)
        most = max(int(draws.tops.max(initial=0)), 1)
        flat, stride = flattened(logits)
        self._tensors["logits"] = as_tensor(flat)
        self._memory["sizes"][:] = count, vocab, stride, self._padded
        self._put_rules(draws.rules)
        self._put("keys", draws.keys.view(np.uint32))
        for name in TAKEN:
            self._put(name, getattr(draws, name))
        for name in MADE:
            self._room(name, (count,))
        self._room("likeliest", (count, min(most, vocab)))
        self._function(*[self._tensors[name] for name in ARGUMENTS])
        made = [self._memory[name][:count] for name in (*MADE, "likeliest")]
        return Drawn(*made)

    def _put_rules(self, rules: npt.NDArray[Any]) -> None:
        """The rules, of which the compiled function has a view of each type."""
        had, whole = self._memory.get("longs"), rules.view(np.int64)
        self._put("longs", whole)
        if (now := self._memory["longs"]) is not had:
            for name in ("words", "floats", "doubles"):
                self._tensors[name] = as_tensor(now.view(ARGUMENTS[name]))
        nearest, least = self._room("nearest", (len(rules),)), rules["least"]
        nearest[: len(rules)] = -np.inf
        if least.any():
            cut = np.flatnonzero(least)
            weight = np.log2(least[cut].astype(np.float64)) - UNIT_BITS - 1e-3
            with np.errstate(all="ignore"):
                nearest[cut] = weight / rules["scale"][cut]

    def _learn(self, vocab: int) -> None:
        """Makes room for rows of this size."""
        self._vocab, self._padded = vocab, padded(vocab)
        tokens = self._room("tokens", ((self._threads + 1) * self._padded,))
        tokens[: self._padded] = scattered(np.arange(self._padded, dtype=np.uint32))
        self._room("values", (2 * self._threads * self._padded,))
        self._room("places", (self._threads * self._padded,))

    def _put(self, name: str, values: npt.NDArray[Any]) -> None:
        room = self._room(name, values.shape)
        if values.ndim == 1:
            room[: len(values)] = values
        else:
            room[: values.shape[0], : values.shape[1]] = values

    def _room(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Memory for an argument, at least of this shape."""
        found = self._memory.get(name)
        if found is None or found.shape < shape or found.shape[-1] < shape[-1]:
            had = (1,) * len(shape) if found is None else found.shape
            found = aligned_zeros(tuple(map(max, had, shape)), ARGUMENTS[name])
            self._memory[name], self._tensors[name] = found, as_tensor(found)
        return found


def padded(vocab: int) -> int:
    """Values of a row in whole vectors, and one more."""
    return -(-vocab // LANES) * LANES + LANES


def memory_bytes(threads: int, vocab: int) -> int:
    """What a sampler needs for rows of this size, but for what grows with their number: each thread
    has a row, a list, their places and tokens."""
    return 4 * padded(vocab) * (4 * threads + 1)


def check_places(places: Ints, count: int, what: str) -> None:
    if len(places) and not (places.min() >= 0 and places.max() < count):
        wrong = next(one for one in places.tolist() if not 0 <= one < count)
        raise IndexError(f"{what} {wrong} is not one of {count}")


def flattened(logits: Floats) -> tuple[Floats, int]:
    """The memory of rows in one dimension, and how far apart they are."""
    count, vocab = logits.shape
    if not is_aligned(logits):
        apart = logits.strides[0] // 4
        if logits.strides == (4 * apart, 4) and apart >= vocab and not logits.ctypes.data % 64:
            size = ((count - 1) * apart + vocab,)
            return np.lib.stride_tricks.as_strided(logits, size, (4,)), apart
        logits = aligned_copy(logits)
    return logits.reshape(-1), vocab
