"""A teacher in plain torch, the student that some of its layers make, and the student's files."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from raylax.kernels.checkpoints.readers import open_checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deploy" / "demo_model"))
from model import Config, Llama, rotary

TEXT = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


def teacher_of(checkpoint: Path) -> Llama:
    """Any checkpoint of Llama's architecture that raylax reads, its weights in bf16: so it is
    fast, and so the drafts' target computes. Its embedding is its head."""
    read = open_checkpoint(checkpoint)
    s = read.spec
    plain = s.rope.scaling == "none" and s.tied_embeddings and not s.window
    if s.architecture != "LlamaForCausalLM" or not plain or s.qkv_bias or s.mlp_bias:
        sys.exit(f"{checkpoint}: only a plain Llama with tied embeddings can be a teacher here")
    config = Config(
        vocab=s.vocab, hidden=s.hidden, layers=s.layers, heads=s.heads, kv_heads=s.kv_heads,
        head_dim=s.head_dim, intermediate=s.intermediate, context=s.max_positions,
        rope_theta=s.rope.theta, norm_eps=s.norm_eps,
    )  # fmt: skip
    with torch.device("meta"):
        teacher = Llama(config)
    teacher.load_state_dict(
        {
            name: torch.from_numpy(read.tensor(f"model.{name}").copy()).to(torch.bfloat16)
            for name in teacher.state_dict()
        },
        assign=True,
    )
    return teacher.eval().requires_grad_(False)


class Student(nn.Module):
    """Some layers of a teacher, between its embedding and those rows of it that name `tokens`.
    Layers and the last norm learn, in f32; the embedding is the teacher's own."""

    def __init__(self, teacher: Llama, layers: list[int], tokens: Tensor) -> None:
        super().__init__()
        self.c, self.tokens = replace(teacher.c, layers=len(layers)), tokens
        self.kept = Llama(replace(self.c, vocab=1))
        del self.kept.embed_tokens
        parts = [(f"layers.{at}.", f"layers.{own}.") for own, at in enumerate(layers)]
        weights = {
            own + name.removeprefix(of_teacher): weight.float()
            for of_teacher, own in [*parts, ("norm.", "norm.")]
            for name, weight in teacher.state_dict().items()
            if name.startswith(of_teacher)
        }
        self.kept.load_state_dict(weights)
        self._embedding = [teacher.embed_tokens.weight]
        self._head = [teacher.embed_tokens.weight[tokens]]

    def forward(self, ids: Tensor) -> Tensor:
        """ids[batch, length] -> the last layer's normed output[batch, length, hidden]."""
        cos, sin = rotary(ids.shape[1], self.c)
        x = F.embedding(ids, self._embedding[0]).float()
        for layer in self.kept.layers:
            x = layer(x, cos, sin)
        normed: Tensor = self.kept.norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden[…, hidden] -> […, tokens], the student's or the teacher's."""
        return F.linear(hidden, self._head[0].to(hidden.dtype))

    def save(self, out: Path, teacher: Path) -> None:
        """bf16 weights under transformers' names, with EAGLE-3's for the vocabulary of drafts, and
        what the teacher's text is made by; the weights appear whole or not at all."""
        read = open_checkpoint(teacher)
        out.mkdir(parents=True, exist_ok=True)
        for name in TEXT:
            if (read.text / name).exists():
                shutil.copyfile(read.text / name, out / name)
        weights = {f"model.{n}": w.to(torch.bfloat16) for n, w in self.kept.state_dict().items()}
        weights["model.embed_tokens.weight"] = self._embedding[0]
        weights["lm_head.weight"] = self._head[0]
        weights["d2t"] = self.tokens - torch.arange(len(self.tokens))
        (out / "config.json").write_text(json.dumps(self._config(), indent=1) + "\n")
        temporary = out / "model.safetensors.new"
        save_file(weights, temporary, metadata={"format": "pt"})
        temporary.rename(out / "model.safetensors")

    def _config(self) -> dict[str, Any]:
        c = self.c
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "hidden_size": c.hidden, "intermediate_size": c.intermediate,
            "num_hidden_layers": c.layers, "num_attention_heads": c.heads,
            "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim, "vocab_size": c.vocab,
            "draft_vocab_size": len(self.tokens), "max_position_embeddings": c.context,
            "rms_norm_eps": c.norm_eps, "rope_theta": c.rope_theta, "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
        }  # fmt: skip
