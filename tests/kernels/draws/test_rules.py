"""What models that draw are told."""

import numpy as np

from raylax.kernels.draws.rules import RULE, StepDraws


def test_a_model_of_fewer_tokens_is_told_of_its_own_alone() -> None:
    """Row by row; a rule stays where nothing is changed any more."""
    rules = np.zeros(4, RULE)
    rules["changes"], rules["seed"] = [2, 0, 1, 3], [5, 6, 7, 8]
    values = np.arange(6, dtype=np.float32)
    draws = StepDraws(rules, np.array([3, 9, 12, 10, 4, 9], np.int32), values, -values.astype(int))

    told = draws.within(10)

    assert told.rules["changes"].tolist() == [2, 0, 0, 2]
    assert told.rules["seed"].tolist() == [5, 6, 7, 8]
    assert told.ids.tolist() == [3, 9, 4, 9]
    assert told.biases.tolist() == [0, 1, 4, 5]
    assert told.counts.tolist() == [0, -1, -4, -5]
    assert draws.within(13) is draws
    assert rules["changes"].tolist() == [2, 0, 1, 3]
