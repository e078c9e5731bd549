"""Names of a GGUF file's tensors, and what was done to them when they were put there."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
FACTORS = "rope_freqs.weight"
"""No weight: by what frequencies are divided."""
ROTATED = (".q_proj.", ".k_proj.")


def hugging_face_name(name: str) -> str:
    """`blk.3.attn_q.weight` as elsewhere; what is not known, as it is."""
    if name in WHOLE:
        return WHOLE[name]
    first, _, rest = name.partition(".")
    layer, _, own = rest.partition(".")
    module, _, end = own.rpartition(".")
    if first != "blk" or module not in OF_LAYER:
        return name
    return f"model.layers.{layer}.{OF_LAYER[module]}.{end}"


def halves(rows: Array, head_dim: int) -> Array:
    """Rows of queries or keys in which neighbours are rotated, so that halves of a head are."""
    pairs = rows.reshape(-1, head_dim // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
