"""Writes a checkpoint of `checkpoint.py` as a GGUF file, for llama.cpp to run the same model.

pip install gguf && python bench/gguf_file.py CHECKPOINT OUT.gguf [--type f32|bf16]
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from raylax.kernels.checkpoints.gguf.config import ARCHITECTURES, COUNTS, NUMBERS
from raylax.kernels.checkpoints.gguf.names import ROTATED, hugging_face_names
from raylax.kernels.checkpoints.safetensors import read_header
from raylax.kernels.families import spec_of

Config = dict[str, Any]
Kind = gguf.GGMLQuantizationType
NAMES = {one.name: name for name, one in ARCHITECTURES.items()}


def architecture(config: Config) -> str:
    """As GGUF has it."""
    return NAMES[config["architectures"][0]]


def gguf_names(config: Config) -> dict[str, str]:
    """By the names elsewhere; those of experts end with the number of one."""
    return {theirs: ours for ours, theirs in hugging_face_names(spec_of(config))}


def add_config(writer: gguf.GGUFWriter, config: Config) -> None:
    heads = {"rotary_dims": config["head_dim"]}
    for key, name in (COUNTS | NUMBERS).items():
        if (value := (config | heads).get(name)) is not None:
            add = writer.add_uint32 if key in COUNTS else writer.add_float32
            add(f"{writer.arch}.{key}", value)
    writer.add_value_length(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Config) -> None:
    added = {entry["id"]: entry["content"] for entry in tokenizer["added_tokens"]}
    words = {index: word for word, index in tokenizer["model"]["vocab"].items()} | added
    kinds = [
        gguf.TokenType.CONTROL if i in added else gguf.TokenType.NORMAL for i in range(len(words))
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([words[i] for i in range(len(words))])
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])


def tensors(path: Path, config: Config) -> Iterator[tuple[str, np.ndarray]]:
    """(name in the file, content) of each tensor; experts follow each other in one."""
    names, spec, experts = gguf_names(config), spec_of(config), list[np.ndarray]()
    stored = read_header(path)
    for theirs, ours in sorted(names.items(), key=lambda pair: in_order(pair[1])):
        content = stored[theirs].read()
        if ARCHITECTURES[architecture(config)].permuted and any(p in theirs for p in ROTATED):
            content = interleave_rotary(content, spec.head_dim)
        if "norm" in ours:
            content = content + np.float32(spec.norm_offset)
        name, _, number = ours.rpartition(".")
        if not number.isdigit():
            yield ours, content
            continue
        experts.append(content)
        if spec.experts and len(experts) == spec.experts.count:
            yield name, np.stack(experts)
            experts.clear()


def in_order(name: str) -> list[tuple[str, int]]:
    """Numbers in a name by their size."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", name)]


def interleave_rotary(weight: np.ndarray, head_dim: int) -> np.ndarray:
    """Some types of GGUF rotate neighbouring pairs, Hugging Face the two halves of a head."""
    halves = weight.reshape(-1, 2, head_dim // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=["f32", "bf16"], default="bf16")
    args = parser.parse_args()
    config = json.loads((args.checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(args.out, architecture(config), use_temp_file=True)
    add_config(writer, config)
    add_tokenizer(writer, json.loads((args.checkpoint / "tokenizer.json").read_text()))
    stored = Kind[args.type.upper()]
    for name, weight in tensors(args.checkpoint / "model.safetensors", config):
        # llama.cpp wants vectors and routers in f32.
        kind = stored if weight.ndim > 1 and "ffn_gate_inp" not in name else Kind.F32
        writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
