"""Configs of tiny models of each family: every trait that the code knows is in one of them."""

from typing import Any

from tests.support.checkpoints import LLAMA3_ROPE

Config = dict[str, Any]
SIZES: Config = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 99, "max_position_embeddings": 512,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, "torch_dtype": "float32",
    "rope_theta": 10000.0,
}  # fmt: skip
ODD: Config = {**SIZES, "hidden_size": 80, "intermediate_size": 100, "head_dim": 20}
"""Sizes that are padded."""
LOCAL, FULL = "sliding_attention", "full_attention"
YARN = {
    "rope_type": "yarn", "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def named(architecture: str, model_type: str, sizes: Config = SIZES, **own: Any) -> Config:
    return {"architectures": [architecture], "model_type": model_type, **sizes, **own}


def classifying(
    architecture: str, model_type: str, labels: list[str] | None, sizes: Config = SIZES, **own: Any
) -> Config:
    """With a head for these labels; None: for as many as are meant where nobody says."""
    own["pad_token_id"] = None  # where transformers looks for the end of a text
    if labels is not None:
        own["id2label"] = {str(at): label for at, label in enumerate(labels)}
        own["label2id"] = {label: at for at, label in enumerate(labels)}
    return named(f"{architecture}SequenceClassification", model_type, sizes, **own)


CONFIGS: dict[str, Config] = {
    "qwen3": named("Qwen3ForCausalLM", "qwen3", head_dim=32, tie_word_embeddings=True),
    "qwen3-odd": named("Qwen3ForCausalLM", "qwen3", ODD, attention_bias=True),
    "gemma": named("GemmaForCausalLM", "gemma", head_dim=32, hidden_act="gelu"),
    "gemma2": named(
        "Gemma2ForCausalLM", "gemma2", head_dim=32, sliding_window=24, query_pre_attn_scalar=20,
        attn_logit_softcapping=5.0, final_logit_softcapping=30.0,
        layer_types=[LOCAL, FULL, LOCAL],
    ),
    "gemma3": named(
        "Gemma3ForCausalLM", "gemma3_text", ODD, sliding_window=24, query_pre_attn_scalar=20,
        num_hidden_layers=6, layer_types=[*[LOCAL] * 5, FULL], rope_theta=1e6,
        rope_local_base_freq=1e4,
    ),
    "phi2": named(
        "PhiForCausalLM", "phi", partial_rotary_factor=0.4, num_key_value_heads=4,
        hidden_act="gelu_new", hidden_size=80, intermediate_size=320,
    ),
    "phi3": named(
        "Phi3ForCausalLM", "phi3", sliding_window=None, original_max_position_embeddings=64,
        rope_scaling={
            "type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
            "long_factor": [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0],
        },
    ),
    "phi4-mini": named(
        "Phi3ForCausalLM", "phi3", ODD, hidden_size=80, partial_rotary_factor=0.8,
        tie_word_embeddings=True, sliding_window=None,
    ),
    "smollm3": named(
        "SmolLM3ForCausalLM", "smollm3", num_hidden_layers=4, no_rope_layers=[1, 1, 1, 0],
    ),
    "olmo2": named("Olmo2ForCausalLM", "olmo2", hidden_size=80),
    "olmo3": named(
        "Olmo3ForCausalLM", "olmo3", sliding_window=24, layer_types=[LOCAL, LOCAL, FULL],
        rope_scaling=YARN, rope_theta=5e5,
    ),
    "granite": named(
        "GraniteForCausalLM", "granite", embedding_multiplier=3.0, residual_multiplier=0.4,
        attention_multiplier=0.1, logits_scaling=2.0, tie_word_embeddings=True,
    ),
    "glm4": named(
        "Glm4ForCausalLM", "glm4", head_dim=32, attention_bias=True, partial_rotary_factor=0.5,
        rms_norm_eps=1e-5,
    ),
    "glm-odd": named(
        "GlmForCausalLM", "glm", ODD, partial_rotary_factor=0.5, attention_bias=True,
        tie_word_embeddings=False,
    ),
    "stablelm": named("StableLmForCausalLM", "stablelm", use_qkv_bias=True),
    "stablelm-parallel": named(
        "StableLmForCausalLM", "stablelm", use_parallel_residual=True, hidden_size=96,
    ),
    "starcoder2": named(
        "Starcoder2ForCausalLM", "starcoder2", use_bias=True, sliding_window=None,
        hidden_act="gelu_pytorch_tanh",
    ),
    "gpt2": {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 80, "n_head": 4,
        "n_layer": 3, "n_positions": 512, "n_ctx": 512, "layer_norm_epsilon": 1e-5,
        "vocab_size": 99, "activation_function": "gelu_new",
        "bos_token_id": 0, "eos_token_id": 1, "torch_dtype": "float32",
    },
    "pythia": named(
        "GPTNeoXForCausalLM", "gpt_neox", rotary_pct=0.25, hidden_act="gelu", layer_norm_eps=1e-5,
    ),
    "neox-in-turn": named(
        "GPTNeoXForCausalLM", "gpt_neox", hidden_size=80, rotary_pct=0.5,
        use_parallel_residual=False, hidden_act="relu2",
    ),
    "ministral": named(
        "MinistralForCausalLM", "ministral", head_dim=32, sliding_window=24,
        layer_types=[LOCAL, FULL, LOCAL],
    ),
    "mistral-window": named(
        "MistralForCausalLM", "mistral", sliding_window=24, rope_scaling=LLAMA3_ROPE,
    ),
    "qwen2-window": named(
        "Qwen2ForCausalLM", "qwen2", use_sliding_window=True, sliding_window=24,
        max_window_layers=1,
    ),
    "mixtral": named(
        "MixtralForCausalLM", "mixtral", num_local_experts=5, num_experts_per_tok=2,
        sliding_window=None,
    ),
    "qwen2-moe": named(
        "Qwen2MoeForCausalLM", "qwen2_moe", num_experts=20, num_experts_per_tok=3,
        moe_intermediate_size=40, shared_expert_intermediate_size=48,
    ),
    "qwen2-moe-windows": named(
        "Qwen2MoeForCausalLM", "qwen2_moe", num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=32, shared_expert_intermediate_size=48, use_sliding_window=True,
        sliding_window=24, max_window_layers=2,
    ),
    "qwen3-moe": named(
        "Qwen3MoeForCausalLM", "qwen3_moe", ODD, num_experts=8, num_experts_per_tok=4,
        moe_intermediate_size=32, norm_topk_prob=True,
    ),
    "qwen3-moe-dense": named(
        "Qwen3MoeForCausalLM", "qwen3_moe", num_hidden_layers=5, num_experts=6, head_dim=32,
        num_experts_per_tok=2, moe_intermediate_size=32, decoder_sparse_step=2,
        mlp_only_layers=[3],
    ),
    "qwen2-moe-dense": named(
        "Qwen2MoeForCausalLM", "qwen2_moe", ODD, num_experts=5, num_experts_per_tok=2,
        moe_intermediate_size=24, shared_expert_intermediate_size=48, mlp_only_layers=[0, 2],
        head_dim=20,
    ),
    "glm4-moe": named(
        "Glm4MoeForCausalLM", "glm4_moe", num_hidden_layers=4, first_k_dense_replace=1,
        n_routed_experts=21, n_group=3, topk_group=2, num_experts_per_tok=4, n_shared_experts=2,
        moe_intermediate_size=40, norm_topk_prob=True, routed_scaling_factor=1.8,
        use_qk_norm=True, attention_bias=True, partial_rotary_factor=0.5, head_dim=32,
        hidden_act="silu", rms_norm_eps=1e-5,
    ),
    "dots1": named(
        "Dots1ForCausalLM", "dots1", ODD, n_routed_experts=20, num_experts_per_tok=4,
        n_shared_experts=1, moe_intermediate_size=36, first_k_dense_replace=1, n_group=1,
        topk_group=1, norm_topk_prob=False, routed_scaling_factor=2.5, sliding_window=None,
    ),
    "ernie": named("Ernie4_5ForCausalLM", "ernie4_5", ODD, tie_word_embeddings=True),
    "ernie-moe": named(
        "Ernie4_5_MoeForCausalLM", "ernie4_5_moe", ODD, moe_num_experts=18, moe_k=4,
        num_hidden_layers=5, moe_intermediate_size=36, moe_num_shared_experts=1,
        moe_layer_start_index=1, moe_layer_end_index=3, moe_layer_interval=2, head_dim=20,
        tie_word_embeddings=True,
    ),
    "minimax-m2": named(
        "MiniMaxM2ForCausalLM", "minimax_m2", head_dim=32, rotary_dim=16, num_local_experts=18,
        num_experts_per_tok=3, intermediate_size=40,
    ),
    "cohere": named(
        "CohereForCausalLM", "cohere", hidden_size=80, intermediate_size=100, logit_scale=0.25,
        layer_norm_eps=1e-5, attention_bias=True,
    ),
    "cohere2": named(
        "Cohere2ForCausalLM", "cohere2", num_hidden_layers=4, sliding_window=24, logit_scale=0.5,
        layer_types=[LOCAL, LOCAL, LOCAL, FULL], rotary_pct=1.0,
    ),
    "exaone4": named(
        "Exaone4ForCausalLM", "exaone4", ODD, sliding_window=24, layer_types=[LOCAL, FULL, LOCAL],
        head_dim=20,
    ),
    "exaone4-full": named(
        "Exaone4ForCausalLM", "exaone4", sliding_window=None, layer_types=[FULL] * 3,
        rope_scaling=LLAMA3_ROPE,
    ),
    "seed-oss": named(
        "SeedOssForCausalLM", "seed_oss", head_dim=32, attention_bias=True,
        attention_out_bias=True,
    ),
    "nemotron": named(
        "NemotronForCausalLM", "nemotron", hidden_size=80, partial_rotary_factor=0.4,
        norm_eps=1e-5, hidden_act="relu2", attention_bias=True,
    ),
    "arcee": named("ArceeForCausalLM", "arcee", ODD, hidden_act="relu2", rope_scaling=YARN),
    "helium": named("HeliumForCausalLM", "helium", head_dim=16, attention_bias=True),
    "cwm": named(
        "CwmForCausalLM", "cwm", head_dim=32, sliding_window=24, layer_types=[FULL, LOCAL, LOCAL],
        rope_parameters={**LLAMA3_ROPE, "rope_theta": 1e6},
    ),
    "granite4": named(
        "GraniteMoeHybridForCausalLM", "granitemoehybrid", hidden_size=80,
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.1,
        logits_scaling=2.0, num_local_experts=0, num_experts_per_tok=0,
        shared_intermediate_size=96, position_embedding_type="rope",
        layer_types=["attention"] * 3, tie_word_embeddings=True, mamba_n_heads=10,
    ),
    "olmoe": named("OlmoeForCausalLM", "olmoe", num_experts=6, num_experts_per_tok=2),
    "yarn": named("LlamaForCausalLM", "llama", rope_scaling=YARN),
    "gpt-oss": named(
        "GptOssForCausalLM", "gpt_oss", ODD, num_local_experts=20, num_experts_per_tok=3,
        sliding_window=24, layer_types=[LOCAL, FULL, LOCAL], swiglu_limit=1.5, swiglu_alpha=1.3,
        rope_scaling={**YARN, "truncate": False}, attention_bias=True,
    ),
    "gpt-oss-mxfp4": named(
        "GptOssForCausalLM", "gpt_oss", hidden_size=96, intermediate_size=64, head_dim=32,
        num_local_experts=6, num_experts_per_tok=4, sliding_window=20,
        rope_scaling={**YARN, "truncate": False},
        quantization_config={"quant_method": "mxfp4"},
    ),
    "llama-reward": classifying("LlamaFor", "llama", ["reward"], ODD),
    "qwen2-labels": classifying("Qwen2For", "qwen2", ["calm", "glad", "sad"], ODD),
    "qwen3-reranker": classifying("Qwen3For", "qwen3", ["yes"], ODD),
    "mistral-labels": classifying("MistralFor", "mistral", None, sliding_window=24),
    "gemma-labels": classifying("GemmaFor", "gemma", None, ODD, head_dim=32),
    "gemma2-reward": classifying(
        "Gemma2For", "gemma2", ["reward"], head_dim=32, sliding_window=24,
        query_pre_attn_scalar=20, layer_types=[LOCAL, FULL, LOCAL], attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0,
    ),
    "phi3-labels": classifying(
        "Phi3For", "phi3", [f"label {at}" for at in range(40)], sliding_window=None,
    ),
}  # fmt: skip


VISION: Config = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip


def seeing(architecture: str, model_type: str, text: str, vision: str, **beside: Any) -> Config:
    """One of the others inside of a model that reads images, too."""
    inside = {key: one for key, one in CONFIGS[text].items() if key != "architectures"}
    return named(
        architecture, model_type, {}, text_config=inside,
        vision_config={**VISION, "model_type": vision}, torch_dtype="float32", **beside,
    )  # fmt: skip


QWENS = {"depth": 1, "num_heads": 2, "out_hidden_size": 64, "fullatt_block_indexes": [0]}
SECTIONS = {"type": "mrope", "rope_type": "default", "mrope_section": [2, 3, 3]}
"""Of the dims that are turned: those of time, rows and columns."""
SEEING: dict[str, Config] = {
    "gemma3-images": seeing(
        "Gemma3ForConditionalGeneration", "gemma3", "gemma3", "siglip_vision_model",
        mm_tokens_per_image=4,
    ),
    "mistral3": seeing(
        "Mistral3ForConditionalGeneration", "mistral3", "mistral-window", "pixtral",
        tie_word_embeddings=False,
    ),
    "qwen2.5-vl": named(
        "Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", rope_scaling=SECTIONS,
        rms_norm_eps=1e-6, use_sliding_window=False, tie_word_embeddings=True,
        vision_config={**VISION, **QWENS, "model_type": "qwen2_5_vl"},
    ),
    "qwen3-vl": named(
        "Qwen3VLForConditionalGeneration", "qwen3_vl", {}, tie_word_embeddings=False,
        text_config={
            **ODD, "model_type": "qwen3_vl_text", "head_dim": 16, "rope_scaling": SECTIONS,
        },
        vision_config={**VISION, **QWENS, "model_type": "qwen3_vl", "out_hidden_size": 80},
        torch_dtype="float32",
    ),
}  # fmt: skip
"""Of whose weights those for images are left out, but for one."""
CONFIGS |= SEEING
NAMES_INSIDE = {
    "gemma3-images": ("", "language_model."), "mistral3": ("model.", "model.language_model."),
    "qwen2.5-vl": ("", ""), "qwen3-vl": ("model.", "model.language_model."),
}  # fmt: skip
"""What of a name becomes what: in older files, and in newer ones."""
EMBEDDERS: dict[str, Config] = {
    "qwen3-embedding": named("Qwen3Model", "qwen3", ODD),
    "qwen3-untied-embedding": named("Qwen3ForCausalLM", "qwen3", ODD),
    "mistral-embedding": named("MistralModel", "mistral", sliding_window=None),
}
"""Models without a head, as sentence-transformers has them."""
OF_OTHERS: dict[str, Config] = {
    "internlm2": named("InternLM2ForCausalLM", "internlm2", hidden_size=80, bias=False),
}
"""Those that transformers has no code of."""
IN_GGUF = (
    "qwen3", "gemma", "gemma3", "phi2", "phi3", "phi4-mini", "smollm3", "olmo2",
    "granite", "glm4", "stablelm", "starcoder2", "mixtral", "qwen2-moe", "qwen3-moe", "olmoe",
    "gpt-oss-mxfp4", "glm4-moe", "dots1", "ernie", "gpt2", "pythia", "internlm2", "olmo3",
    "ernie-moe", "minimax-m2", "cohere", "cohere2", "exaone4", "seed-oss", "nemotron", "arcee",
)  # fmt: skip
"""Those that are kept as GGUF files, too."""
