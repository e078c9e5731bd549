"""Writes a Hugging Face checkpoint with random weights, to measure speed on.

    python bench/checkpoint.py OUT --shape qwen2.5-0.5b [--vocab 32000]

The text of such a model is noise, and answers must not end by chance: the output row of the end
token is zero, so that its logit stays far below the largest of many random ones.
"""

import argparse
import json
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    model_type: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    rope_theta: float
    vocab: int = 32000
    head_dim: int = 64
    tied: bool = True


SHAPES = {
    "tiny": Shape("llama", 256, 4, 4, 2, 704, 1e4, vocab=2048),
    "qwen2.5-0.5b": Shape("qwen2", 896, 24, 14, 2, 4864, 1e6),
    "llama-3.2-1b": Shape("llama", 2048, 16, 32, 8, 8192, 5e5),
    "llama-3.2-3b": Shape("llama", 3072, 28, 24, 8, 8192, 5e5, 128256, 128),
    "llama-3.1-8b": Shape("llama", 4096, 32, 32, 8, 14336, 5e5, 128256, 128, tied=False),
}


def tensor_shapes(s: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (s.vocab, s.hidden)
    for layer in range(s.layers):
        at = f"model.layers.{layer}."
        heads = {"q": s.heads, "k": s.kv_heads, "v": s.kv_heads}
        for name, count in heads.items():
            yield f"{at}self_attn.{name}_proj.weight", (count * s.head_dim, s.hidden)
            if s.model_type == "qwen2":
                yield f"{at}self_attn.{name}_proj.bias", (count * s.head_dim,)
        yield at + "self_attn.o_proj.weight", (s.hidden, s.heads * s.head_dim)
        yield at + "mlp.gate_proj.weight", (s.intermediate, s.hidden)
        yield at + "mlp.up_proj.weight", (s.intermediate, s.hidden)
        yield at + "mlp.down_proj.weight", (s.hidden, s.intermediate)
        yield at + "input_layernorm.weight", (s.hidden,)
        yield at + "post_attention_layernorm.weight", (s.hidden,)
    yield "model.norm.weight", (s.hidden,)
    if not s.tied:
        yield "lm_head.weight", (s.vocab, s.hidden)


def tensor(rng: np.random.Generator, name: str, shape: tuple[int, ...], end: int) -> np.ndarray:
    """Scales that keep activations finite through every layer."""
    if name.endswith("norm.weight"):
        return np.ones(shape, np.float32)
    scale = 0.02
    if "proj.weight" in name:
        scale = (0.2 if "o_proj" in name or "down_proj" in name else 1.0) / np.sqrt(shape[1])
    weight = rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)
    if "embed_tokens" in name or "lm_head" in name:
        weight[end] = 0
    return weight


def bf16_bits(a: np.ndarray) -> np.ndarray:
    u = a.view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def write_weights(path: Path, s: Shape, end: int) -> None:
    """Streams tensor by tensor, so that a large model needs little memory."""
    header, offset = {}, 0
    for name, shape in tensor_shapes(s):
        size = int(np.prod(shape)) * 2
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensor_shapes(s):
            file.write(bf16_bits(tensor(rng, name, shape, end)).tobytes())


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


def config(s: Shape, end: int) -> dict[str, object]:
    architecture = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}[s.model_type]
    return {
        "architectures": [architecture], "model_type": s.model_type, "hidden_act": "silu",
        "hidden_size": s.hidden, "intermediate_size": s.intermediate,
        "num_hidden_layers": s.layers, "num_attention_heads": s.heads,
        "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim, "vocab_size": s.vocab,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": s.rope_theta,
        "tie_word_embeddings": s.tied, "torch_dtype": "bfloat16",
        "bos_token_id": end - 2, "eos_token_id": end,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--vocab", type=int, help="vocabulary size (default: the shape's own)")
    args = parser.parse_args()
    shape = SHAPES[args.shape]
    shape = replace(shape, vocab=args.vocab or shape.vocab)
    end = shape.vocab - 1
    args.out.mkdir(parents=True, exist_ok=True)
    train_tokenizer(shape.vocab).save(str(args.out / "tokenizer.json"))
    (args.out / "config.json").write_text(json.dumps(config(shape, end), indent=1))
    (args.out / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    tokens = {"eos_token": SPECIAL[2], "pad_token": SPECIAL[0], "chat_template": CHATML}
    (args.out / "tokenizer_config.json").write_text(json.dumps(tokens, indent=1))
    write_weights(args.out / "model.safetensors", shape, end)


if __name__ == "__main__":
    main()
