"""What configs of the families say, and what they cannot."""

from contextlib import suppress
from typing import Any

import pytest

from raylax.kernels.errors import CheckpointError, CompileError
from raylax.kernels.families import spec_of, stands_beside
from raylax.kernels.rotary import rotary_tables
from raylax.kernels.shards import Degree
from raylax.kernels.spec import Experts, Local, Rope
from tests.support.checkpoints import LLAMA3_ROPE
from tests.support.family_configs import CONFIGS, FULL, LOCAL, YARN


def of(name: str, **changed: Any) -> dict[str, Any]:
    return {**CONFIGS[name], **changed}


def experts_of(name: str, **changed: Any) -> Experts:
    found = spec_of(of(name, **changed)).experts
    assert found is not None
    return found


def test_an_unknown_one_is_told_the_nearest() -> None:
    """And what that would not understand."""
    named = ["Qwen3NextForCausalLM"]
    config = of("qwen3", architectures=named, linear_key_head_dim=128, use_cache=True)

    with pytest.raises(CheckpointError) as caught:
        spec_of(config)

    said = str(caught.value)
    assert "architecture Qwen3NextForCausalLM is not supported" in said
    assert "the nearest that is: Qwen3ForCausalLM, which does not know linear_key_head_dim;" in said
    assert said.endswith("`raylax models` lists all")


def test_the_nearest_has_a_head_of_the_same_kind() -> None:
    config = of("llama-reward", architectures=["OPTForSequenceClassification"])

    with pytest.raises(CheckpointError, match="nearest that is: Phi3ForSequenceClassification"):
        spec_of(config)


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("gemma3", {"layer_types": [FULL]}, "layer_types must be 6 times full_attention or slid"),
        ("gemma2", {"layer_types": [FULL, LOCAL, "chunked"]}, "layer_types must be 3 times"),
        ("smollm3", {"no_rope_layers": [1, 1]}, "no_rope_layers must be a list of 4 times 0 or 1"),
        ("phi2", {"qk_layernorm": True}, "qk_layernorm is not supported in PhiForCausalLM"),
        ("phi2", {"partial_rotary_factor": 1.5}, "must be at most 1, .* of 20 dims, found 1.5"),
        ("stablelm", {"partial_rotary_factor": 0.2}, "an even number of 16 dims, found 0.2"),
        ("phi3", {"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, "long_factor must"),
        ("gemma2", {"final_logit_softcapping": -3}, "final_logit_softcapping must be a positive"),
        ("granite", {"logits_scaling": 0}, "logits_scaling must be a positive number, found 0"),
        ("starcoder2", {"hidden_act": "mish"}, "hidden_act 'mish' is not supported, only silu, "),
        ("qwen3-moe", {"num_experts_per_tok": 9}, "must be at most the 8 experts, found 9"),
        ("qwen3-moe", {"mlp_only_layers": 1}, "mlp_only_layers must be a list of layers, found 1"),
        ("glm4-moe", {"n_group": 5}, "must part the 21 experts into groups of .*, found 5"),
        ("glm4-moe", {"n_group": 21}, "equally many, at least 2, found 21"),
        ("glm4-moe", {"topk_group": 4}, "topk_group must be at most the 3 groups, .*, found 4"),
        ("glm4-moe", {"num_experts_per_tok": 15}, "so many that they have 15 experts, found 2"),
        ("yarn", {"rope_scaling": {"rope_type": "ntk"}}, "'ntk' is not supported, only default, "),
        ("gpt-oss", {"swiglu_limit": -7.0}, "swiglu_limit must be a positive number, found -7.0"),
        ("gpt-oss", {"swiglu_alpha": 0}, "swiglu_alpha must be a positive number, found 0"),
        ("gpt-oss", {"num_experts_per_tok": 21}, "must be at most the 20 experts, found 21"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(name: str, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said) as caught:
        spec_of(of(name, **changed))
    assert str(caught.value).isprintable()


WRONG = ["", "x", -1, 0, 1, 1.5, float("inf"), float("nan"), 10**400, [], [1], [[]], {"a": 1}, True]
ALSO = (
    "rope_parameters", "rope_scaling", "partial_rotary_factor", "layer_types", "hidden_act",
    "sliding_window", "head_dim", "num_key_value_heads", "norm_topk_prob", "mlp_only_layers",
    "decoder_sparse_step", "original_max_position_embeddings", "max_window_layers",
    "first_k_dense_replace", "routed_scaling_factor", "n_group", "topk_group", "n_shared_experts",
)  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_any_value_of_any_key_is_an_error_in_words(name: str) -> None:
    """Or a spec: never anything but CheckpointError."""
    for key in (*CONFIGS[name], *ALSO):
        for wrong in WRONG:
            with suppress(CheckpointError):
                assert spec_of(of(name, **{key: wrong})).layers > 0
    for key in ("type", "rope_type", "factor", "rope_theta", "attention_factor", "mscale",
                "original_max_position_embeddings", "short_factor", "beta_fast"):  # fmt: skip
        for wrong in WRONG:
            for scaling in (YARN, LLAMA3_ROPE, CONFIGS["phi3"]["rope_scaling"]):
                with suppress(CheckpointError):
                    spec = spec_of(of(name, rope_scaling={**scaling, key: wrong}))
                    rotary_tables(spec, 3)


def test_windows_are_those_of_the_layers_that_have_one() -> None:
    """All alike are no matter of single layers, and one as long as any sequence is none."""
    rope = spec_of(of("ministral")).rope

    assert spec_of(of("ministral")).local == Local((0, 2), 24, rope)
    assert spec_of(of("ministral", layer_types=[LOCAL] * 3)).window == 24
    assert spec_of(of("ministral", layer_types=[LOCAL] * 3)).local is None
    assert spec_of(of("ministral", sliding_window=512)).local is None
    assert spec_of(of("qwen2-window")).local == Local((1, 2), 24, rope)
    assert spec_of(of("qwen2-window", use_sliding_window=False)).local is None
    assert spec_of(of("mistral-window")).window == 24


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("qwen3-moe", {"num_experts": 3, "num_experts_per_tok": 2}, "most the 3 experts, found 4"),
        ("qwen2-moe", {"shared_expert_intermediate_size": 96}, "at most 3, .* the 96 MLP units"),
        ("glm4-moe", {"intermediate_size": 64, "moe_intermediate_size": 64}, "the 64 MLP units"),
        ("olmoe", {}, "must be 1 for a model whose norms are of all queries and keys"),
    ],
)
def test_more_ranks_than_there_is_for_them(name: str, changed: dict[str, Any], said: str) -> None:
    spec = spec_of(of(name, num_key_value_heads=4, **changed))
    with pytest.raises(CompileError, match=f"tensor_parallel_shards.*{said}"):
        Degree(4).check(spec)


def test_layers_between_experts_have_an_mlp() -> None:
    """By turns, by name, or at the beginning; one that has no experts at all is another model."""
    step = {"num_hidden_layers": 5, "decoder_sparse_step": 2}

    assert experts_of("qwen3-moe", **step).dense == (0, 2, 4)
    assert experts_of("qwen3-moe", mlp_only_layers=[-1, 1, 7]).dense == (1,)
    assert experts_of("qwen3-moe").dense == ()
    assert experts_of("glm4-moe", first_k_dense_replace=3).dense == (0, 1, 2)
    assert experts_of("glm4-moe").dense_intermediate == of("glm4-moe")["intermediate_size"]
    without = spec_of(of("qwen3-moe", mlp_only_layers=[0, 1, 2]))
    assert without.experts is None
    assert without.intermediate == of("qwen3-moe")["intermediate_size"]


def test_a_layer_that_predicts_more_may_stand_behind_the_others() -> None:
    spec = spec_of(of("glm4-moe"))

    assert stands_beside(spec, "model.layers.4.mlp.gate.weight")
    assert not stands_beside(spec, "model.layers.3.mlp.gate.weight")
    assert not stands_beside(spec, "model.layers.40.mlp.gate.weight")


def test_layers_without_rotation_leave_things_as_they_are() -> None:
    spec = spec_of(of("smollm3"))
    cos, sin = rotary_tables(spec, 5)

    assert spec.local == Local((3,), 0, Rope(0))
    assert (cos[1] == 1).all() and (sin[1] == 0).all()
    assert (sin[0, 1:] != 0).all()


def test_what_gpt_oss_need_not_say_is_what_transformers_means() -> None:
    """Windows in every other layer, from the first one on, and frequencies for longer sequences."""
    said = (
        "sliding_window", "layer_types", "rope_scaling", "rope_theta", "head_dim", "swiglu_limit",
        "swiglu_alpha", "attention_bias",
    )  # fmt: skip
    spec = spec_of({key: one for key, one in CONFIGS["gpt-oss"].items() if key not in said})

    assert spec.local == Local((0, 2), 128, spec.rope)
    assert (spec.rope.scaling, spec.rope.theta, spec.rope.factor) == ("yarn", 150000.0, 32.0)
    assert (spec.rope.original_positions, spec.rope.truncate) == (4096, False)
    assert (spec.head_dim, spec.qkv_bias, spec.output_bias) == (64, True, True)
    assert spec.experts is not None
    assert (spec.experts.limit, spec.experts.slope) == (7.0, 1.702)


def test_longer_sequences_have_other_frequencies() -> None:
    """By the longest that there may be, whatever a sequence has: a token's are always the same."""
    spec = spec_of(of("phi3"))
    short, long = (rotary_tables(spec, length)[0] for length in (64, 65))

    assert not (short[1:] == long[1:64]).all()


def test_norms_of_all_heads_need_all_heads() -> None:
    with pytest.raises(CompileError, match="must be 1 for a model whose norms .* Olmo2ForCausalLM"):
        Degree(2).check(spec_of(of("olmo2")))
