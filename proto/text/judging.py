"""Whether a model says by a word how well a document answers a query: a reranker that generates."""

from collections.abc import Callable
from typing import Any, NamedTuple

RERANKERS = "none", "yes_no"
WORDS = ["no", "yes"]
OF_CONFIG = "classifier_from_token"
"""The words in a config.json that says what they are, the one for yes behind the other."""
LOGIT_SCORE = "LogitScore"
"""The step of sentence-transformers that has their ids."""


class Judge(NamedTuple):
    """The ids of the two words."""

    yes: int
    no: int


def judge_of(
    asked: str, config: dict[str, Any], module: dict[str, Any], encode: Callable[[str], list[int]]
) -> Judge | None:
    """What there is to know of such a model; None: it is none. `asked`: one of `RERANKERS`, else
    the files say it; `module`: the settings of `LOGIT_SCORE`, empty if there are none. Raises
    ValueError for words that are no tokens."""
    if asked == "none":
        return None
    if asked != "yes_no" and (found := module.get("true_token_id")) is not None:
        return Judge(int(found), int(module["false_token_id"]))
    words = WORDS if asked == "yes_no" else config.get(OF_CONFIG)
    if words is None:
        return None
    if not isinstance(words, list) or len(words) != 2:
        raise ValueError(f"config.json: {OF_CONFIG} must be two words, found {words!r}")
    ids = [encode(str(word)) for word in words]
    if not all(len(one) == 1 for one in ids):
        raise ValueError(
            f"a reranker's words must be a token each, {words[0]!r} has {len(ids[0])} and "
            f"{words[1]!r} has {len(ids[1])}"
        )
    return Judge(ids[1][0], ids[0][0])
