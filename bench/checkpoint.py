"""Writes a Hugging Face checkpoint with random weights, to measure speed on.

    python bench/checkpoint.py OUT --shape qwen2.5-0.5b [--vocab 32000]

The text of such a model is noise, and answers must not end by chance: the output row of the end
token is zero, so that its logit stays far below the largest of many random ones.
"""

import argparse
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from raylax.kernels.families import spec_of, tensors_of

Floats = npt.NDArray[np.float32]

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


Config = dict[str, Any]


def shaped(
    architecture: str, hidden: int, layers: int, heads: tuple[int, int], intermediate: int,
    theta: float, vocab: int = 32000, head_dim: int = 64, **own: Any,
) -> Config:  # fmt: skip
    """A config.json. `heads`: those of queries, and those of keys and values."""
    return {
        "architectures": [architecture], "hidden_act": "silu", "hidden_size": hidden,
        "intermediate_size": intermediate, "num_hidden_layers": layers,
        "num_attention_heads": heads[0], "num_key_value_heads": heads[1], "head_dim": head_dim,
        "vocab_size": vocab, "max_position_embeddings": 4096, "rms_norm_eps": 1e-6,
        "rope_theta": theta, "tie_word_embeddings": True, "torch_dtype": "bfloat16", **own,
    }  # fmt: skip


LLAMA, QWEN2, QWEN3 = "LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"
OWN_HEAD = {"tie_word_embeddings": False}
SHAPES = {
    "tiny": shaped(LLAMA, 256, 4, (4, 2), 704, 1e4, vocab=2048),
    "qwen2.5-0.5b": shaped(QWEN2, 896, 24, (14, 2), 4864, 1e6),
    "qwen3-0.6b": shaped(QWEN3, 1024, 28, (16, 8), 3072, 1e6, head_dim=128),
    "gemma-3-1b": shaped(
        "Gemma3ForCausalLM", 1152, 26, (4, 1), 6912, 1e6, head_dim=256, sliding_window=512,
        hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=256,
        rope_local_base_freq=1e4,
    ),
    "qwen3-30b-a3b-4-layers": shaped(
        "Qwen3MoeForCausalLM", 2048, 4, (32, 4), 6144, 1e6, head_dim=128, num_experts=128,
        num_experts_per_tok=8, moe_intermediate_size=768, norm_topk_prob=True, **OWN_HEAD,
    ),
    "llama-3.2-1b": shaped(LLAMA, 2048, 16, (32, 8), 8192, 5e5),
    "llama-3.2-3b": shaped(LLAMA, 3072, 28, (24, 8), 8192, 5e5, 128256, 128),
    "llama-3.1-8b": shaped(LLAMA, 4096, 32, (32, 8), 14336, 5e5, 128256, 128, **OWN_HEAD),
}  # fmt: skip


def config_of(shape: str, vocab: int | None = None) -> Config:
    """The config.json of a shape. The last of its tokens ends texts."""
    config = dict(SHAPES[shape])
    config["vocab_size"] = vocab or config["vocab_size"]
    end = config["vocab_size"] - 1
    return {**config, "bos_token_id": end - 2, "eos_token_id": end}


def tensor_shapes(config: Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, shape) of each tensor."""
    return tensors_of(spec_of(config))


def tensor(rng: np.random.Generator, name: str, shape: tuple[int, ...], config: Config) -> Floats:
    """Scales that keep activations finite through every layer."""
    if name.endswith("norm.weight"):
        return np.full(shape, 1 - spec_of(config).norm_offset, np.float32)
    scale = 0.02
    if "proj.weight" in name:
        scale = (0.2 if "o_proj" in name or "down_proj" in name else 1.0) / np.sqrt(shape[1])
    weight = rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)
    if "embed_tokens" in name or "lm_head" in name:
        weight[config["eos_token_id"]] = 0
    return weight


def bf16_bits(a: Floats) -> npt.NDArray[np.uint16]:
    u = a.view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def write_weights(path: Path, config: Config) -> None:
    """Streams tensor by tensor, so that a large model needs little memory."""
    header, offset = {}, 0
    for name, shape in tensor_shapes(config):
        size = int(np.prod(shape)) * 2
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensor_shapes(config):
            file.write(bf16_bits(tensor(rng, name, shape, config)).tobytes())


def train_tokenizer(vocab: int) -> Tokenizer:
    """A byte-level BPE trained on Python's own library, padded to exactly `vocab` entries."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(SPECIAL),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    files = sorted(str(path) for path in Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    tokenizer.train(files, trainer)
    missing = vocab - len(SPECIAL) - tokenizer.get_vocab_size()
    tokenizer.add_tokens([f"<|unused{i}|>" for i in range(missing)])
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--vocab", type=int, help="vocabulary size (default: the shape's own)")
    args = parser.parse_args()
    config = config_of(args.shape, args.vocab)
    args.out.mkdir(parents=True, exist_ok=True)
    train_tokenizer(config["vocab_size"]).save(str(args.out / "tokenizer.json"))
    (args.out / "config.json").write_text(json.dumps(config, indent=1))
    end = {"eos_token_id": config["eos_token_id"]}
    (args.out / "generation_config.json").write_text(json.dumps(end))
    tokens = {"eos_token": SPECIAL[2], "pad_token": SPECIAL[0], "chat_template": CHATML}
    (args.out / "tokenizer_config.json").write_text(json.dumps(tokens, indent=1))
    write_weights(args.out / "model.safetensors", config)


if __name__ == "__main__":
    main()
