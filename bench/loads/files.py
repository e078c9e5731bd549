"""Checkpoints of large models whose weights are a few random blocks, over and over: made at the
rate of the disk, in little memory."""

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO

import gguf
import numpy as np
from checkpoint import Config, bf16_bits, config_of, tensor_shapes
from gguf.constants import GGML_QUANT_SIZES
from gguf_file import add_config, gguf_names

Kind = gguf.GGMLQuantizationType
BLOCKS = 1 << 16
SCALE = np.float16(1e-3)


def write_gguf(path: Path, shape: str) -> Path:
    """A Q4_K_M, each tensor of the type that llama.cpp's recipe has for it."""
    config, rng = config_of(shape), np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    add_config(writer, config)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(config["vocab_size"])])
    names = gguf_names(config)
    lines = [
        (names[name], size, kind_of(name, size, config)) for name, size in tensor_shapes(config)
    ]
    for name, size, kind in lines:
        numbers = prod(size) // GGML_QUANT_SIZES[kind][0] * GGML_QUANT_SIZES[kind][1]
        writer.add_tensor_info(name, size, np.dtype(np.float32), numbers, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    (file,) = writer.fout
    patterns = {kind: blocks(kind, rng) for kind in (Kind.F32, Kind.Q4_K, Kind.Q6_K)}
    for _, size, kind in lines:
        file.write(bytes(-file.tell() % writer.data_alignment))
        per, each = GGML_QUANT_SIZES[kind]
        fill(file, patterns[kind], prod(size) // per * each)
    writer.close()
    return path


def kind_of(name: str, size: tuple[int, ...], config: Config) -> Kind:
    """Half of the layers have more bits for values and what goes down."""
    if len(size) == 1:
        return Kind.F32
    if name == "lm_head.weight":
        return Kind.Q6_K
    if "v_proj" in name or "down_proj" in name:
        layer, eighth = int(name.split(".")[2]), config["num_hidden_layers"] // 8
        if layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2:
            return Kind.Q6_K
    return Kind.Q4_K


def blocks(kind: Kind, rng: np.random.Generator) -> bytes:
    """Blocks whose scales are small numbers."""
    if kind == Kind.F32:
        return np.ones(BLOCKS, np.float32).tobytes()
    raw = rng.integers(0, 256, (BLOCKS, GGML_QUANT_SIZES[kind][1]), np.uint8)
    at = {Kind.Q4_K: slice(0, 4), Kind.Q6_K: slice(208, 210)}[kind]
    raw[:, at] = np.full((at.stop - at.start) // 2, SCALE).view(np.uint8)
    return raw.tobytes()


def write_shards(path: Path, shape: str, shards: int) -> Path:
    """Safetensors of bf16, in several files with an index."""
    config, rng = config_of(shape), np.random.default_rng(0)
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    every = list(tensor_shapes(config))
    pattern = bf16_bits(rng.standard_normal(BLOCKS * 64, np.float32) * np.float32(0.02)).tobytes()
    index: dict[str, str] = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        first, end = (len(every) * one // shards for one in (shard, shard + 1))
        part = every[first:end]
        index |= {tensor: name for tensor, _ in part}
        with (path / name).open("wb") as file:
            file.write(header_of(part))
            for _, size in part:
                fill(file, pattern, prod(size) * 2)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return path


def header_of(part: list[tuple[str, tuple[int, ...]]]) -> bytes:
    """Of a file of safetensors."""
    header, end = {}, 0
    for name, size in part:
        begin, end = end, end + prod(size) * 2
        header[name] = {"dtype": "BF16", "shape": size, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def fill(file: IO[bytes], pattern: bytes, size: int) -> None:
    """So many bytes, of what comes again and again."""
    for piece in pieces(pattern, size):
        file.write(piece)


def pieces(pattern: bytes, size: int) -> Iterator[bytes]:
    while size > 0:
        yield pattern[:size]
        size -= len(pattern)
