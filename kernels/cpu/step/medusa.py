"""The residual blocks of one of Medusa's heads (https://arxiv.org/abs/2401.10774)."""

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.tir.activations import silu
from raylax.kernels.cpu.tir.emit import Register, lanes
from raylax.kernels.shards import PANEL


def residual_blocks(e: Operators, count: int) -> str:
    """What is in `tapped` goes through all blocks of a head: x + silu(w x + b) each. Returns where
    what they come to lies."""
    hidden, source = e.spec.hidden, "tapped"
    for block in range(count):
        e.normalise(None, "p", name=f"take_{block}", source=source)
        first = block * (hidden // PANEL)
        with (
            e.queue.region(f"fc_{block}", hidden // PANEL) as panel,
            T.serial(0, e.tiles) as tile,
        ):
            out = e.product("p", hidden, tile, "w_fc", [first + panel])
            with e.rows_of(tile) as (m, row):
                for half in range(2):
                    at = lanes(panel * PANEL + half * 16)
                    bias = e.b["b_fc"][lanes((first + panel) * PANEL + half * 16)]
                    value = Register(out[lanes(m * PANEL + half * 16)] + bias)
                    e.b["x"].store(e.b[source][row, at] + silu(value.get()), row, at)
        source = "x"
    return source
