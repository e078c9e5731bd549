"""The draws of a release are those of the next."""

import json
from pathlib import Path

import numpy as np

from tests.goldens.draws import token_of
from tests.support.draw_corpus import corpus

GOLDENS = Path(__file__).parents[2] / "goldens/draws.json"


def test_every_draw_is_what_it_was() -> None:
    """1,620 of them: of vocabularies of 7 to 151,936, with all parameters together."""
    expected = json.loads(GOLDENS.read_text())
    cases = [case for _, case in corpus()]
    found = [token_of(case) for case in cases]

    assert len(cases) == len(expected)
    wrong = [(i, cases[i].sampling) for i in np.flatnonzero(np.array(found) != expected)]
    assert not wrong, wrong[:3]
