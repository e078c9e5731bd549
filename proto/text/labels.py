"""Labels that a model has for texts, and what becomes of their logits, by its config.json.

A model with a head for sequence classification, as transformers calls it, says with one label how
well a text is, and with more which of them it has. The names are those of vLLM's /classify.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

HEAD = "ForSequenceClassification"
"""How the names of such architectures end."""
USUAL = 2
"""Labels where nobody says, as transformers has it."""
Scores = Literal["sigmoid", "softmax", "identity"]
OF_PROBLEM: dict[str, Scores] = {
    "regression": "identity", "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}  # fmt: skip
"""By `problem_type`."""
OF_MODULE: dict[str, Scores] = {"Identity": "identity", "Sigmoid": "sigmoid"}
"""By a module of torch, which sentence-transformers names for the scores of pairs."""
WRITES_NOTHING = (
    "the model has a head for labels of texts and writes none; use /classify, /v1/score or "
    "/v1/rerank"
)


class Labels(NamedTuple):
    """What a head has in the place of tokens."""

    names: tuple[str, ...]
    of_text: Scores = "softmax"
    """What makes scores of the logits of a text."""
    of_pair: Scores = "sigmoid"
    """The same of a pair of texts, where there is one label."""

    def scores(self, logits: Sequence[float]) -> list[float]:
        """Of each label."""
        match self.of_text:
            case "identity":
                return list(logits)
            case "softmax" if len(logits) > 1:
                largest = max(logits)
                parts = [math.exp(one - largest) for one in logits]
                return [part / math.fsum(parts) for part in parts]
        return [sigmoid(one) for one in logits]

    def score(self, logit: float) -> float:
        """Of a pair."""
        return logit if self.of_pair == "identity" else sigmoid(logit)


def sigmoid(value: float) -> float:
    least = math.exp(-abs(value))
    return (1.0 if value >= 0 else least) / (1.0 + least)


def labels_of(config: dict[str, Any]) -> Labels | None:
    """None: its head is for tokens. Raises ValueError for scores that are not known."""
    named = config.get("architectures")
    if not (isinstance(named, list) and named and str(named[0]).endswith(HEAD)):
        return None
    names = config.get("id2label")
    names = names if isinstance(names, dict) else {}
    count = len(names) or config.get("num_labels") or USUAL
    told = tuple(str(names.get(str(at), f"LABEL_{at}")) for at in range(count))
    of_text = OF_PROBLEM.get(str(config.get("problem_type")), "softmax")
    return Labels(told, of_text, pairs_of(config))


def pairs_of(config: dict[str, Any]) -> Scores:
    """By what newer and older versions of sentence-transformers write. Raises ValueError."""
    newer = config.get("sentence_transformers")
    module = newer.get("activation_fn") if isinstance(newer, dict) else None
    module = module or config.get("sbert_ce_default_activation_function")
    if module is None:
        return "sigmoid"
    if (found := OF_MODULE.get(str(module).rpartition(".")[2])) is None:
        raise ValueError(
            f"config.json: activation_fn must be one of {', '.join(OF_MODULE)}, found {module!r}"
        )
    return found
