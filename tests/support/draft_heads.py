"""Small draft heads with seeded random weights, in the files that published ones have. No torch."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.support.checkpoints import BASE, config_of, write_checkpoint

Arrays = dict[str, np.ndarray[Any, Any]]
LAYER: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "intermediate_size": 80, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "float32",
}  # fmt: skip


@dataclass(frozen=True)
class Head:
    """A head for one of the models of `checkpoints.py`."""

    base: str
    kind: int
    """Of EAGLE: 1 or 3."""
    taps: tuple[int, ...]
    config: dict[str, Any] = field(default_factory=dict)
    named: int = 0
    """Tokens that it names; 0: all of the base's."""
    embeds: bool = False
    """Whether it has an embedding of its own."""
    biased: bool = False
    speculators: bool = False

    @property
    def base_config(self) -> dict[str, Any]:
        """What is said of the base."""
        return config_of(self.base)

    @property
    def layer(self) -> dict[str, Any]:
        """What is said of its layer."""
        base = self.base_config
        sizes = {"hidden_size": base["hidden_size"], "vocab_size": base["vocab_size"]}
        return {**LAYER, **sizes, **self.config}

    @property
    def normed_residual(self) -> bool:
        return self.speculators and self.kind == 3

    @property
    def names(self) -> int:
        """Tokens that it names."""
        return self.named or int(self.layer["vocab_size"])


ODD = "hidden-100-dim-80-mlp-biased"
HEADS = {
    "eagle-1": Head("llama", 1, (2,), {"rope_theta": 500.0}, embeds=True, biased=True),
    "eagle-1-odd": Head(ODD, 1, (3,), {"head_dim": 20, "intermediate_size": 70}),
    "eagle-1-speculators": Head("llama3-untied-biased", 1, (2,), biased=True, speculators=True),
    "eagle-3": Head("llama3-untied-biased", 3, (2, 0, 1), named=40, embeds=True),
    "eagle-3-odd": Head(
        ODD, 3, (1, 3, 1), {"head_dim": 20, "intermediate_size": 70}, 65, speculators=True
    ),
}


def shapes_of(head: Head) -> dict[str, tuple[int, ...]]:
    """Its tensors, by EAGLE's names."""
    c = head.layer
    hidden, dim = c["hidden_size"], c["head_dim"]
    q, kv, mlp = (
        c["num_attention_heads"] * dim,
        c["num_key_value_heads"] * dim,
        c["intermediate_size"],
    )
    at = "midlayer." if head.kind == 3 else "layers.0."
    inputs = hidden * 2 if head.kind == 3 else hidden
    base_hidden = head.base_config["hidden_size"]
    wide = 2 * hidden if head.kind == 1 else len(head.taps) * base_hidden
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (hidden, wide)}
    if head.biased:
        shapes["fc.bias"] = (hidden,)
    if head.embeds:
        shapes["embed_tokens.weight"] = (c["vocab_size"], hidden)
    for name, rows in (("q", q), ("k", kv), ("v", kv)):
        shapes[f"{at}self_attn.{name}_proj.weight"] = (rows, inputs)
    shapes[f"{at}self_attn.o_proj.weight"] = (hidden, q)
    for name in ("gate", "up"):
        shapes[f"{at}mlp.{name}_proj.weight"] = (mlp, hidden)
    shapes[f"{at}mlp.down_proj.weight"] = (hidden, mlp)
    shapes[f"{at}post_attention_layernorm.weight"] = (hidden,)
    if head.kind == 3:
        shapes |= {
            f"{at}input_layernorm.weight": (hidden,),
            f"{at}hidden_norm.weight": (hidden,),
            "norm.weight": (hidden,),
            "lm_head.weight": (head.names, hidden),
        }
    return shapes


def weights_of(head: Head) -> Arrays:
    """Random weights by EAGLE's names, the same ones for the same head; and the maps of a smaller
    vocabulary."""
    rng, weights = np.random.default_rng(11), Arrays()
    for name, shape in shapes_of(head).items():
        drawn = rng.standard_normal(shape, dtype=np.float32)
        weights[name] = 1 + 0.1 * drawn if name.endswith("norm.weight") else 0.2 * drawn
    if head.named:
        vocab = head.layer["vocab_size"]
        ids = np.sort(rng.choice(vocab, head.named, replace=False))
        weights["d2t"] = ids - np.arange(head.named)
        weights["t2d"] = np.isin(np.arange(vocab), ids)
    return weights


def config_for(head: Head) -> dict[str, Any]:
    """Its config.json."""
    named = {"draft_vocab_size": head.named} if head.named else {}
    aux = {"eagle_aux_hidden_state_layer_ids": list(head.taps)} if head.kind == 3 else {}
    if not head.speculators:
        return {**head.layer, **named, "eagle_config": aux}
    kind = "eagle3" if head.kind == 3 else "eagle"
    return {
        "speculators_model_type": kind,
        "speculators_config": {"algorithm": kind},
        "transformer_layer_config": head.layer,
        **({"layernorms": False, "fusion_bias": head.biased} if head.kind == 1 else {}),
        **named,
        **aux,
    }


def in_speculators(name: str, kind: int) -> str:
    """What speculators call a tensor of EAGLE's."""
    if kind == 1:
        return name.replace("fc.", "fusion_fc.").replace("layers.0.", "transformer.")
    return name.replace("midlayer.", "layers.0.")


def write_head(path: Path, variant: str, **changes: Any) -> Path:
    """A head's directory. `changes`: of its config; None: without this key."""
    head = HEADS[variant]
    weights = weights_of(head)
    if head.speculators:
        weights = {in_speculators(name, head.kind): one for name, one in weights.items()}
    config = {k: v for k, v in (config_for(head) | changes).items() if v is not None}
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    save_file(weights, path / "model.safetensors")
    return path


@dataclass(frozen=True)
class Medusa:
    """Medusa's heads for one of the models of `checkpoints.py`."""

    base: str
    heads: int
    blocks: int


MEDUSAS = {"medusa": Medusa("llama", 3, 1), "medusa-odd": Medusa(ODD, 2, 2)}


def medusas_weights(variant: str) -> Arrays:
    """Random weights by the published names."""
    one, rng = MEDUSAS[variant], np.random.default_rng(12)
    base = config_of(one.base)
    hidden, vocab = base["hidden_size"], base["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {}
    for head in range(one.heads):
        for block in range(one.blocks):
            shapes[f"{head}.{block}.linear.weight"] = (hidden, hidden)
            shapes[f"{head}.{block}.linear.bias"] = (hidden,)
        shapes[f"{head}.{one.blocks}.weight"] = (vocab, hidden)
    return {name: 0.2 * rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def write_medusa(path: Path, variant: str, **changes: Any) -> Path:
    """A directory of heads, of which the config names two, as published ones do."""
    one = MEDUSAS[variant]
    config = {"medusa_num_heads": 2, "medusa_num_layers": one.blocks, **changes}
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    save_file(medusas_weights(variant), path / "medusa_lm_head.safetensors")
    return path


def hidden_of(one: Medusa, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What a base may give Medusa's heads: drawn at random."""
    shape = count, config_of(one.base)["hidden_size"]
    return np.random.default_rng(6).standard_normal(shape, dtype=np.float32)


MIMO: dict[str, Any] = {
    **BASE, "architectures": ["MiMoForCausalLM"], "model_type": "qwen2", "head_dim": 20,
    "rope_theta": 700.0, "tie_word_embeddings": False, "num_nextn_predict_layers": 1,
}  # fmt: skip
"""A model that brings a layer that drafts."""
MTP = "model.mtp_layers.0."


def mtps_weights() -> Arrays:
    """Random weights of that layer, by MiMo's names."""
    c, rng, weights = MIMO, np.random.default_rng(13), Arrays()
    hidden, mlp = c["hidden_size"], c["intermediate_size"]
    q, kv = (c[f"num_{name}_heads"] * c["head_dim"] for name in ("attention", "key_value"))
    shapes: dict[str, tuple[int, ...]] = {
        "input_proj.weight": (hidden, 2 * hidden),
        "self_attn.o_proj.weight": (hidden, q),
        "mlp.gate_proj.weight": (mlp, hidden),
        "mlp.up_proj.weight": (mlp, hidden),
        "mlp.down_proj.weight": (hidden, mlp),
    }
    for name, rows in (("q", q), ("k", kv), ("v", kv)):
        shapes[f"self_attn.{name}_proj.weight"] = (rows, hidden)
        shapes[f"self_attn.{name}_proj.bias"] = (rows,)
    for name in ("token", "hidden", "input", "post_attention", "final"):
        shapes[f"{name}_layernorm.weight"] = (hidden,)
    for name, shape in shapes.items():
        drawn = rng.standard_normal(shape, dtype=np.float32)
        weights[MTP + name] = 1 + 0.1 * drawn if "layernorm" in name else 0.2 * drawn
    return weights


def write_mimo(path: Path, layer: bool = True) -> Path:
    """Such a model, with the layer or without."""
    write_checkpoint(path, **MIMO)
    if layer:
        file = path / "model.safetensors"
        save_file(load_file(file) | mtps_weights(), file)
    return path


def inputs_of(head: Head, count: int) -> tuple[list[int], np.ndarray[Any, np.dtype[np.float32]]]:
    """Tokens, and what its base may keep of each: drawn at random."""
    rng, hidden = np.random.default_rng(5), head.base_config["hidden_size"]
    ids = rng.integers(0, head.layer["vocab_size"], count).tolist()
    streams = {tap: rng.standard_normal((count, hidden), dtype=np.float32) for tap in head.taps}
    return ids, np.concatenate([streams[tap] for tap in head.taps], 1)
