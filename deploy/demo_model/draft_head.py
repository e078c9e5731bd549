"""A draft head in plain torch, as EAGLE-3's are (https://arxiv.org/abs/2503.01840), and its checkpoint as published ones are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from model import MLP, Config, Llama, RMSNorm, rotary, rotate
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

TAPS = (2, 4, 5)
"""Layers of the base whose input it is given; the last one is what the base comes to."""
LAYER = Config(layers=1, heads=4, kv_heads=2, head_dim=32, intermediate=192)


def tapped(base: Llama, ids: Tensor) -> tuple[Tensor, Tensor]:
    """ids[batch, length] -> the base's residual streams side by side, and its logits."""
    cos, sin = rotary(ids.shape[1], base.c)
    x, streams = base.embed_tokens(ids), []
    for layer in base.layers:
        streams.append(x)
        x = layer(x, cos, sin)
    streams.append(x)
    return torch.cat([streams[tap] for tap in TAPS], -1), base.logits(base.norm(x))


@dataclass(frozen=True)
class Rows:
    """Tokens of a batch that drafts begin behind, as many of each conversation."""

    at: Tensor
    """[batch, rows]"""

    def of(self, tokens: Tensor, further: int = 0) -> Tensor:
        """[batch, rows, …] of tokens [batch, length, …] so many further on."""
        index = (self.at + further)[(..., *[None] * (tokens.ndim - 2))]
        return tokens.gather(1, index.expand(*self.at.shape, *tokens.shape[2:]))


class Attention(nn.Module):
    """Of rows, over what the base has computed before them and over the drafts of each row."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.c, self._rotary = c, rotary(c.context, c)
        self.q_proj = nn.Linear(2 * c.hidden, c.heads * c.head_dim, bias=False)
        self.k_proj = nn.Linear(2 * c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.v_proj = nn.Linear(2 * c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.o_proj = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)

    def keys_and_values(self, read: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        k, v = (
            project(read).unflatten(-1, (-1, self.c.head_dim))
            for project in (self.k_proj, self.v_proj)
        )
        share = self.c.heads // self.c.kv_heads
        return self.turned(k, positions).repeat_interleave(share, -2), v.repeat_interleave(
            share, -2
        )

    def turned(self, x: Tensor, positions: Tensor) -> Tensor:
        cos, sin = self._rotary
        return rotate(x, cos[positions].unsqueeze(-2), sin[positions].unsqueeze(-2))

    def forward(
        self,
        read: Tensor,
        rows: Rows,
        past: tuple[Tensor, Tensor],
        drafted: list[tuple[Tensor, Tensor]],
    ) -> Tensor:
        """read[batch, rows, 2 * hidden]; `past` of all tokens, [batch, length, heads, dim]; `drafted` of the rows, depth by depth."""
        depth = len(drafted)
        q = self.turned(self.q_proj(read).unflatten(-1, (-1, self.c.head_dim)), rows.at + depth)
        keys, values = past
        length = keys.shape[1]
        scores = torch.einsum("brhd,blhd->brhl", q, keys)
        later = torch.arange(length) > rows.at[..., None]
        scores = scores.masked_fill(later[:, :, None], float("-inf"))
        own = [(q * k).sum(-1, keepdim=True) for k, _ in drafted]
        weights = (
            (torch.cat([scores, *own], -1).float() / self.c.head_dim**0.5).softmax(-1).to(q.dtype)
        )
        out = torch.einsum("brhl,blhd->brhd", weights[..., :length], values)
        for i, (_, v) in enumerate(drafted):
            out = out + weights[..., length + i, None] * v
        return self.o_proj(out.flatten(-2))


class Midlayer(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(c), MLP(c)
        self.input_layernorm = RMSNorm(c.hidden, c.norm_eps)
        self.hidden_norm = RMSNorm(c.hidden, c.norm_eps)
        self.post_attention_layernorm = RMSNorm(c.hidden, c.norm_eps)

    def joined(self, embedded: Tensor, feature: Tensor) -> Tensor:
        return torch.cat([self.input_layernorm(embedded), self.hidden_norm(feature)], -1)


class DraftHead(nn.Module):
    def __init__(self, base: Llama, tokens: Tensor, c: Config = LAYER) -> None:
        """`tokens`: those of the base's that it can name."""
        super().__init__()
        self.c, self.tokens, self._embedding = c, tokens, [base.embed_tokens]
        self.fc = nn.Linear(len(TAPS) * base.c.hidden, c.hidden, bias=False)
        self.midlayer = Midlayer(c)
        self.norm = RMSNorm(c.hidden, c.norm_eps)
        self.lm_head = nn.Linear(c.hidden, len(tokens), bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2 and not name.startswith("fc"):
                nn.init.normal_(weight, std=0.04)
        self.lm_head.weight.data = base.embed_tokens.weight.data[tokens].clone()

    def forward(self, ids: Tensor, streams: Tensor, rows: Rows, depth: int) -> list[Tensor]:
        """Logits [batch, rows, …] of each row, draft by draft: of what comes 2, 3, … tokens behind it if those between are as in `ids`. `streams`: as `tapped` gives them."""
        layer, embed = self.midlayer, self._embedding[0]
        features = self.fc(streams)
        shifted = F.pad(ids[:, 1:], (0, depth + 1))
        read = layer.joined(embed(shifted[:, : ids.shape[1]]), features)
        past = layer.self_attn.keys_and_values(read, torch.arange(ids.shape[1]))
        x, logits, drafted = rows.of(features), [], []
        for step in range(depth):
            joined = layer.joined(embed(rows.of(shifted, step)), x)
            if step:
                drafted.append(layer.self_attn.keys_and_values(joined, rows.at + step))
            x = x + layer.self_attn(joined, rows, past, drafted)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            logits.append(self.lm_head(self.norm(x)))
        return logits


def save_head(head: DraftHead, base: Llama, out: Path) -> None:
    """bf16 weights under the names that EAGLE-3's have; each file appears whole or not at all."""
    sizes = asdict(head.c)
    config = {
        "architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": sizes["hidden"], "intermediate_size": sizes["intermediate"], "num_hidden_layers": 1,
        "num_attention_heads": sizes["heads"], "num_key_value_heads": sizes["kv_heads"], "head_dim": sizes["head_dim"],
        "vocab_size": base.c.vocab, "draft_vocab_size": len(head.tokens), "max_position_embeddings": sizes["context"],
        "rms_norm_eps": sizes["norm_eps"], "rope_theta": sizes["rope_theta"], "torch_dtype": "bfloat16",
        "eagle_config": {"eagle_aux_hidden_state_layer_ids": list(TAPS)},
    }  # fmt: skip
    weights = {name: weight.to(torch.bfloat16) for name, weight in head.state_dict().items()}
    weights["d2t"] = head.tokens - torch.arange(len(head.tokens))
    weights["t2d"] = torch.isin(torch.arange(base.c.vocab), head.tokens)
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / "model.safetensors.new"
    save_file(weights, temporary, metadata={"format": "pt"})
    temporary.rename(out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def load_head(checkpoint: Path, base: Llama) -> DraftHead:
    """The stored, bf16-rounded weights, in f32."""
    weights = load_file(checkpoint / "model.safetensors")
    more, _ = weights.pop("d2t"), weights.pop("t2d")
    head = DraftHead(base, more + torch.arange(len(more)))
    head.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return head
