"""InternLM 2 (https://arxiv.org/abs/2403.17297): Llama by other names, the queries of a KV head
before its key and its value; InternLM 3: Llama."""

import numpy as np

from raylax.kernels.families.base import Family
from raylax.kernels.families.weight import Order
from raylax.kernels.families.weight_table import AS_LLAMA, Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def by_kv_head(spec: DecoderSpec) -> Order:
    shape = spec.kv_heads, spec.queries_per_kv_head + 2, spec.head_dim
    rows = np.arange(np.prod(shape)).reshape(shape)
    return np.concatenate([rows[:, :-2].ravel(), rows[:, -2].ravel(), rows[:, -1].ravel()])


INTERNLM2 = Family(
    "InternLM2ForCausalLM", qkv_bias=False, output_bias=False, mlp_bias=False,
    refuses=("bias",),
    layout=Layout({
        "w_embed": ("model.tok_embeddings.weight",), "w_head": ("output.weight",),
        "w_qkv": of_layer("attention.wqkv.weight"), "w_o": of_layer("attention.wo.weight"),
        "w_gate_up": of_layer("feed_forward.w1.weight", "feed_forward.w3.weight"),
        "w_down": of_layer("feed_forward.w2.weight"),
        "norm_1": of_layer("attention_norm.weight"), "norm_2": of_layer("ffn_norm.weight"),
    }, qkv=by_kv_head),
    in_gguf=AS_LLAMA,
)  # fmt: skip
INTERNLM3 = Family("InternLM3ForCausalLM")
