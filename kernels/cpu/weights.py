"""A checkpoint's weights in the layout of the step: packed once into one file, then mapped.

Replicas on one host map the same file and share its pages; a restart maps instead of packing.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.checkpoint import Checkpoint
from raylax.kernels.cpu.program import Buffer, layout

if TYPE_CHECKING:
    from raylax.kernels.cpu.formats import Quantization

Array = npt.NDArray[Any]
STORED = ("weight", "layer")


def padded_rows(weight: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float32]:
    return np.pad(weight, ((0, rows - len(weight)), (0, 0)))


def interleave(gate: npt.NDArray[np.float32], up: npt.NDArray[np.float32]) -> Array:
    """Rows of gate and up by turns of 16: a panel then holds both halves of a gated unit."""
    turns = [part.reshape(-1, 1, 16, part.shape[1]) for part in (gate, up)]
    return np.concatenate(turns, 1).reshape(-1, gate.shape[1])


def layer_weights(ck: Checkpoint, q: "Quantization", layer: int) -> Iterator[tuple[str, Array]]:
    at, spec = f"model.layers.{layer}.", ck.spec
    attention = [f"{at}self_attn.{name}_proj" for name in "qkv"]
    yield "w_qkv", q.layers.pack(np.concatenate([ck.tensor(f"{n}.weight") for n in attention]))
    if spec.qkv_bias:
        yield "b_qkv", np.concatenate([ck.tensor(f"{n}.bias") for n in attention])
    yield "w_o", q.layers.pack(ck.tensor(f"{at}self_attn.o_proj.weight"))
    if spec.output_bias:
        yield "b_o", ck.tensor(f"{at}self_attn.o_proj.bias")
    gate, up = (ck.tensor(f"{at}mlp.{name}_proj.weight") for name in ("gate", "up"))
    yield "w_gate_up", q.layers.pack(interleave(gate, up))
    yield "w_down", q.layers.pack(ck.tensor(f"{at}mlp.down_proj.weight"))
    yield "norm_1", ck.tensor(f"{at}input_layernorm.weight")
    yield "norm_2", ck.tensor(f"{at}post_attention_layernorm.weight")


def other_weights(ck: Checkpoint, q: "Quantization") -> Iterator[tuple[str, Array]]:
    spec = ck.spec
    embedding = q.head.pack(padded_rows(ck.tensor("model.embed_tokens.weight"), spec.padded_vocab))
    if spec.tied_embeddings:
        yield "w_head", embedding
    else:
        yield "w_embed", embedding
        yield "w_head", q.head.pack(padded_rows(ck.tensor("lm_head.weight"), spec.padded_vocab))
    yield "norm_f", ck.tensor("model.norm.weight")


def pack(
    ck: Checkpoint,
    q: "Quantization",
    table: dict[str, Buffer],
    directory: Path,
    progress: Callable[[float], None],
) -> None:
    """Writes `weights.bin`, one layer in memory at a time."""
    places, size = layout(table, *STORED)
    path = directory / "weights.bin"
    with path.open("wb") as file:
        file.truncate(size)

    def write(name: str, values: Array, layer: int | None) -> None:
        shape, dtype = table[name].shape, table[name].dtype
        target = np.memmap(path, dtype, "r+", places[name], shape)
        target[... if layer is None else layer] = values
        target.flush()

    for layer in range(ck.spec.layers):
        for name, values in layer_weights(ck, q, layer):
            write(name, values, layer)
        progress((layer + 1) / (ck.spec.layers + 1))
    for name, values in other_weights(ck, q):
        write(name, values, None)
    (directory / "offsets.json").write_text(json.dumps(places))
    progress(1.0)


def map_weights(directory: Path, table: dict[str, Buffer]) -> dict[str, Array]:
    """The stored tensors, mapped copy-on-write: nobody writes, so everybody shares."""
    places, _ = layout(table, *STORED)
    return {
        name: np.memmap(directory / "weights.bin", table[name].dtype, "c", at, table[name].shape)
        for name, at in places.items()
    }
