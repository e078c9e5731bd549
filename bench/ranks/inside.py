"""A pair of ranks that answers: `python -m ranks.inside NAME DIRECTORY`.

A line of JSON on the output for each on the input; it waits in between, and takes no processor.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ranks.base import Pair


def pair(name: str, directory: Path) -> Pair:
    """Imports what it needs, and no more: not every Python has it."""
    if name == "gloo":
        from ranks.gloo import gloo

        return gloo(directory)
    if name == "ray":
        from ranks.rays import Rays

        return Rays(directory)
    from ranks import ours

    make: Callable[[], Pair] = getattr(ours, name)
    return make()


def serve(name: str, directory: Path) -> None:
    """Until the input ends. What libraries print goes to the errors, so that answers stay whole."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        ranks = pair(name, directory)
        print(json.dumps({}), file=answers)
        for line in sys.stdin:
            print(json.dumps({"seconds": ranks.measure(**json.loads(line))}), file=answers)
        ranks.close()
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
