"""Writes a checkpoint of `checkpoint.py` as a GGUF file, for llama.cpp to run the same model.

pip install gguf && python bench/gguf_file.py CHECKPOINT OUT.gguf [--type f32|bf16]
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

from raylax.kernels.checkpoints.safetensors import read_header

TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    if name in TOP:
        return TOP[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    stem, suffix = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYER[stem]}.{suffix}"


def interleave_rotary(weight: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's llama type rotates neighbouring pairs, Hugging Face's the two halves of a head."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def read_tensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for name, entry in read_header(path).items():
        yield name, entry.read()


def add_config(writer: gguf.GGUFWriter, config: dict[str, float]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, object]) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=["f32", "bf16"], default="bf16")
    args = parser.parse_args()
    config = json.loads((args.checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(args.out, config["model_type"])
    add_config(writer, config)
    add_tokenizer(writer, json.loads((args.checkpoint / "tokenizer.json").read_text()))
    stored = gguf.GGMLQuantizationType[args.type.upper()]
    heads = {"q_proj.weight": "num_attention_heads", "k_proj.weight": "num_key_value_heads"}
    for name, weight in read_tensors(args.checkpoint / "model.safetensors"):
        ending = name.split("self_attn.")[-1]
        if config["model_type"] == "llama" and ending in heads:
            weight = interleave_rotary(weight, config[heads[ending]])
        kind = stored if weight.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
