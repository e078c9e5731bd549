"""What becomes of the logits of labels, by a config.json."""

import math
from typing import Any

import pytest

from raylax.proto.text.labels import Labels, labels_of


def of(**config: Any) -> Labels:
    found = labels_of({"architectures": ["LlamaForSequenceClassification"], **config})
    assert found is not None
    return found


def test_a_head_for_tokens_has_none() -> None:
    assert labels_of({"architectures": ["LlamaForCausalLM"], "num_labels": 3}) is None
    assert labels_of({"architectures": 5}) is None


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ("LABEL_0", "LABEL_1")),
        ({"num_labels": 1}, ("LABEL_0",)),
        ({"num_labels": 1, "id2label": {"0": "bad", "1": "good"}}, ("bad", "good")),
        ({"id2label": {"0": "bad", "x": "good"}}, ("bad", "LABEL_1")),
    ],
)
def test_names_go_before_a_number(config: dict[str, Any], names: tuple[str, ...]) -> None:
    assert of(**config).names == names


def test_shares_add_up_to_one_however_large_logits_are() -> None:
    shares = of(num_labels=3).scores([1000.0, 1000.0, 0.0])

    assert shares == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("problem", "scores"),
    [
        ("regression", [2.0, -2.0]),
        ("multi_label_classification", [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))]),
        ("single_label_classification", [1 / (1 + math.exp(-4)), 1 / (1 + math.exp(4))]),
    ],
)
def test_a_problem_says_what_becomes_of_them(problem: str, scores: list[float]) -> None:
    assert of(problem_type=problem).scores([2.0, -2.0]) == pytest.approx(scores)


def test_one_label_has_a_probability_by_itself() -> None:
    assert of(num_labels=1).scores([0.0]) == [0.5]


@pytest.mark.parametrize("module", ["torch.nn.Identity", "torch.nn.modules.linear.Identity"])
def test_scores_of_pairs_may_be_logits(module: str) -> None:
    assert of().score(0.0) == 0.5
    assert of(sentence_transformers={"activation_fn": module}).score(-3.5) == -3.5
    assert of(sbert_ce_default_activation_function=module).score(-3.5) == -3.5


def test_another_function_is_an_error() -> None:
    with pytest.raises(ValueError, match="must be one of Identity, Sigmoid, found 'torch.nn.Tanh'"):
        of(sentence_transformers={"activation_fn": "torch.nn.Tanh"})
