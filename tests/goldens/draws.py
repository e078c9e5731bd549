"""What is drawn in every case of `tests/support/draw_corpus.py`.

    python tests/goldens/draws.py

Writes draws.json: the tokens, in the order of the cases; -1 where nothing can be drawn. The draws
of a release are those of the next: run it for new cases alone, and look at the difference.
"""

import json
from pathlib import Path

from raylax.worker.sampling.sampler import NotFinite
from tests.support.draw_corpus import Drawing, corpus
from tests.support.draws import drawn_after


def token_of(case: Drawing) -> int:
    try:
        return drawn_after(*case)
    except NotFinite:
        return -1


def main() -> None:
    path = Path(__file__).with_name("draws.json")
    path.write_text(json.dumps([token_of(case) for _, case in corpus()]) + "\n")


if __name__ == "__main__":
    main()
