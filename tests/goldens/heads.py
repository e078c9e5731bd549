"""Writes what torch computes for the draft heads of `tests/support/draft_heads.py`.

    python tests/goldens/heads.py      # in an environment with torch

`heads.npz` holds for each head: the features of a prompt's tokens, of its last token's step the
logits, and what the steps after it come to, each of which goes on from the one before as a draft
does: tokens, logits and hidden states. Of Medusa's heads it has the logits of some rows.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.support.checkpoints import weights_of as base_weights_of  # noqa: E402
from tests.support.draft_heads import (  # noqa: E402
    HEADS,
    MEDUSAS,
    MIMO,
    MTP,
    Head,
    hidden_of,
    inputs_of,
    medusas_weights,
    mtps_weights,
    weights_of,
)

PROMPT, DRAFTED, MEDUSAS_ROWS = 37, 4, 11


class Reference:
    """A head in plain torch, without pages: every step computes all tokens again."""

    def __init__(self, head: Head) -> None:
        self.head, self.c = head, head.layer
        self.w = {name: torch.from_numpy(np.array(one)) for name, one in weights_of(head).items()}
        base = {
            name: torch.from_numpy(one) for name, one in base_weights_of(head.base_config).items()
        }
        self.base_norm = base["model.norm.weight"]
        self.embed = self.w.get("embed_tokens.weight", base["model.embed_tokens.weight"])
        tied = base.get("lm_head.weight", base["model.embed_tokens.weight"])
        self.unembed = self.w.get("lm_head.weight", tied)
        self.at = "midlayer." if head.kind == 3 else "layers.0."

    def norm(self, x: Tensor, weight: Tensor, eps: float | None = None) -> Tensor:
        mean = x.pow(2).mean(-1, keepdim=True)
        return weight * x * torch.rsqrt(mean + (eps or self.c["rms_norm_eps"]))

    def features(self, tapped: Tensor) -> Tensor:
        if self.head.kind == 3:
            return tapped @ self.w["fc.weight"].T
        return self.norm(tapped, self.base_norm, self.head.base_config["rms_norm_eps"])

    def forward(self, ids: list[int], features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the features that come next, of every token."""
        embedded = self.embed[torch.tensor(ids)]
        if self.head.kind == 3:
            normed = self.norm(features, self.w[self.at + "hidden_norm.weight"])
            x = normed if self.head.normed_residual else features
            embedded = self.norm(embedded, self.w[self.at + "input_layernorm.weight"])
            read = torch.cat((embedded, normed), -1)
        else:
            bias = self.w.get("fc.bias")
            x = read = F.linear(torch.cat((embedded, features), -1), self.w["fc.weight"], bias)
        x = x + self.attention(read)
        x = x + self.mlp(self.norm(x, self.w[self.at + "post_attention_layernorm.weight"]))
        out = self.norm(x, self.w["norm.weight"]) if self.head.kind == 3 else x
        return out @ self.unembed.T, x

    def attention(self, x: Tensor) -> Tensor:
        count, dim = len(x), self.c["head_dim"]
        heads = self.c["num_attention_heads"], *2 * (self.c["num_key_value_heads"],)
        q, k, v = (
            F.linear(x, self.w[f"{at}.weight"], self.w.get(f"{at}.bias")).view(count, n, dim)
            for name, n in zip("qkv", heads, strict=True)
            for at in [f"{self.at}self_attn.{name}_proj"]
        )
        q, k = self.rotated(q), self.rotated(k)
        k, v = (one.repeat_interleave(heads[0] // heads[1], 1) for one in (k, v))
        q, k, v = (one.transpose(0, 1) for one in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        joined = out.transpose(0, 1).reshape(count, -1)
        return joined @ self.w[f"{self.at}self_attn.o_proj.weight"].T

    def rotated(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        inverse = self.c["rope_theta"] ** (-torch.arange(half) / half)
        angle = torch.outer(torch.arange(len(x)).float(), inverse)[:, None]
        low, high = x[..., :half], x[..., half:]
        cos, sin = angle.cos(), angle.sin()
        return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)

    def mlp(self, x: Tensor) -> Tensor:
        gate, up, down = (
            self.w[f"{self.at}mlp.{name}_proj.weight"] for name in ("gate", "up", "down")
        )
        return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T


class Own(Reference):
    """The layer that MiMo brings."""

    def __init__(self) -> None:
        self.c, self.head = MIMO, Head("llama", 1, (2,))
        self.w = {name: torch.from_numpy(one) for name, one in mtps_weights().items()}
        base = {name: torch.from_numpy(one) for name, one in base_weights_of(MIMO).items()}
        self.base_norm = base["model.norm.weight"]
        self.embed, self.unembed = base["model.embed_tokens.weight"], base["lm_head.weight"]
        self.at = MTP

    def forward(self, ids: list[int], features: Tensor) -> tuple[Tensor, Tensor]:
        w, at = self.w, self.at
        embedded = self.norm(self.embed[torch.tensor(ids)], w[at + "token_layernorm.weight"])
        features = self.norm(features, w[at + "hidden_layernorm.weight"])
        x = torch.cat((features, embedded), -1) @ w[at + "input_proj.weight"].T
        x = x + self.attention(self.norm(x, w[at + "input_layernorm.weight"]))
        x = x + self.mlp(self.norm(x, w[at + "post_attention_layernorm.weight"]))
        out = self.norm(x, w[at + "final_layernorm.weight"])
        return out @ self.unembed.T, out


def drafted(one: Reference) -> dict[str, np.ndarray]:
    """A prompt, and tokens that follow it."""
    head = one.head
    ids, tapped = inputs_of(head, PROMPT)
    features = one.features(torch.from_numpy(tapped))
    out: dict[str, list[np.ndarray]] = {"logits": [], "hidden": [], "drawn": []}
    first = features.numpy()
    for _ in range(DRAFTED):
        logits, hidden = one.forward(ids, features)
        best = int(logits[-1].argmax())
        token = best + int(one.w["d2t"][best]) if head.named else best
        for name, value in (("logits", logits[-1]), ("hidden", hidden[-1]), ("drawn", token)):
            out[name].append(np.asarray(value))
        ids, features = [*ids, token], torch.cat((features, hidden[-1:]))
    return {"features": first, **{name: np.stack(values) for name, values in out.items()}}


def medusas_logits(variant: str) -> np.ndarray:
    """f32[heads, MEDUSAS_ROWS, vocab]."""
    one = MEDUSAS[variant]
    w = {name: torch.from_numpy(value) for name, value in medusas_weights(variant).items()}
    logits = []
    for head in range(one.heads):
        x = torch.from_numpy(hidden_of(one, MEDUSAS_ROWS))
        for block in range(one.blocks):
            at = f"{head}.{block}.linear"
            x = x + F.silu(F.linear(x, w[f"{at}.weight"], w[f"{at}.bias"]))
        logits.append(x @ w[f"{head}.{one.blocks}.weight"].T)
    return torch.stack(logits).numpy()


def main() -> None:
    with torch.inference_mode():
        medusas = {variant: medusas_logits(variant) for variant in MEDUSAS}
        goldens = {
            f"{name}/{part}": values
            for name, one in {
                **{name: Reference(head) for name, head in HEADS.items()},
                "mimo": Own(),
            }.items()
            for part, values in drafted(one).items()
        }
    np.savez_compressed(HERE / "heads.npz", **goldens, **medusas)


if __name__ == "__main__":
    main()
