"""Blocks of GGUF files by compiled code: in f32, taken apart into groups, or put into panels.

It goes once over a file's bytes, without Python's lock; by numpy the same bits take ten times as
long.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Blocks, Checkpoint
from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.memory import aligned_copy, aligned_empty, is_aligned
from raylax.kernels.shards import PANEL

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
IN_F32 = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
"""Types that are decoded here: files mix them, and what they have in common is not kept."""
NUMBERS = 256
"""Of a block of each of them."""
IN_GROUPS = {"Q5_0": 32, "Q5_1": 32, "IQ4_NL": 32, "IQ4_XS": 256, "Q3_K": 256}
"""Types of which numpy makes codes slowly, and the numbers of a block."""
IN_PANELS = {
    Kind(4, scale="levels", offset="minimum"): ("Q4_K",),
    Kind(8, scale="levels", offset="minimum"): ("Q4_K", "Q5_K"),
}
"""Kinds of groups, and the types whose blocks are put into panels of such here."""
AT_ONCE = 1 << 14
"""Blocks of a call at most: places among their numbers are int32."""


def in_f32(checkpoint: Checkpoint, name: str, rows: slice) -> Floats:
    """Rows of a tensor, as `Checkpoint.tensor` has them."""
    blocks = checkpoint.blocks(name, rows)
    if blocks is None or blocks.kind not in IN_F32:
        return checkpoint.tensor(name, rows)
    return decoded(blocks)


def decoded(blocks: Blocks) -> Floats:
    """f32[rows, columns]."""
    return over_blocks("blocks", blocks, NUMBERS, "float32")


def in_groups(checkpoint: Checkpoint, name: str, rows: slice) -> Groups:
    """Rows of a tensor, as `Checkpoint.groups` has them."""
    blocks = checkpoint.blocks(name, rows)
    if blocks is None or blocks.kind not in IN_GROUPS:
        return checkpoint.groups(name, rows)
    return taken_apart(blocks)


def taken_apart(blocks: Blocks) -> Groups:
    """As `gguf.groups.TYPES` says."""
    from raylax.kernels.checkpoints.gguf.groups import TYPES  # whose package only such files need

    made, codes = TYPES[blocks.kind], over_blocks("codes", blocks, IN_GROUPS[blocks.kind], "uint8")
    return Groups(made.kind, codes, *made.scales(blocks.one_by_one))


def over_blocks(into: str, blocks: Blocks, numbers: int, dtype: str) -> Array:
    """[rows, columns] of what compiled code makes of each block, so many numbers."""
    content, run = blocks.content.reshape(-1, blocks.size), _compiled(into, blocks.kind)
    out = aligned_empty((len(content), numbers), dtype)
    for first in range(0, len(content), AT_ONCE):
        part = content[first : first + AT_ONCE]
        run(len(part), as_argument(part), out[first : first + AT_ONCE])
    rows, size = blocks.content.shape
    return out.reshape(rows, size // blocks.size * numbers)


def in_panels(blocks: Blocks, kind: Kind, lines: int) -> npt.NDArray[np.int32]:
    """int32[panels, blocks of a row, lines * 16]: as `Grouped` of a kind has them."""
    rows, size = blocks.content.shape
    count = size // blocks.size
    run = _compiled("panels", blocks.kind, kind.bits)
    step = max(1, AT_ONCE // (count * PANEL))
    panels = blocks.content.reshape(rows // PANEL, PANEL * size)
    out = aligned_empty((rows // PANEL, count, lines), "int32")
    for first in range(0, len(out), step):
        part = panels[first : first + step]
        run(len(part), count, as_argument(part).view(np.int32), out[first : first + step])
    return out


def are_finite(blocks: Blocks) -> bool:
    """Whether their numbers are, of those that are put into panels: two f16 come first."""
    scales = blocks.content.reshape(-1, blocks.size)[:, :4].view(np.uint16)
    return bool(((scales & 0x7C00) != 0x7C00).all())


def as_argument(array: Array) -> Array:
    """The same, where compiled code wants it."""
    return array if is_aligned(array) else aligned_copy(array)


@cache
def _compiled(into: str, *what: str | int) -> Any:
    """run(sizes, bytes, numbers), in memory. It is made for the CPU that runs this."""
    from raylax.kernels.cpu.codegen import compile_function
    from raylax.kernels.cpu.target import this_cpu
    from raylax.kernels.cpu.tir import blocks, codes, panels
    from raylax.kernels.runtime import as_tensor

    room: Any = {"blocks": blocks, "codes": codes, "panels": panels}[into]
    run = compile_function(this_cpu(), into, lambda: room.emitted(*what))[into]

    def call(*given: int | Array) -> None:
        run(*(one if isinstance(one, int) else as_tensor(one.reshape(-1)) for one in given))

    return call
