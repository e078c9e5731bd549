"""What a GPU makes of the graph, in JSON: `python -m tests.support.cuda_on_gpu STORE`."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.model import load_on_device
from raylax.kernels.options import silent
from tests.support.checkpoints import VARIANTS, write_checkpoint
from tests.support.cuda_graphs import (
    PAGES,
    SHARES,
    distance,
    is_the_same_in_any_batch,
    options,
)


def main(store: Path) -> None:
    """Nothing where there is no GPU."""
    found = {}
    with TemporaryDirectory() as directory:
        for variant in VARIANTS if driver.count() else ():
            checkpoint = write_checkpoint(Path(directory) / variant, variant)
            for name in SHARES:
                given = options(name, "cuda:0")
                model = load_on_device(checkpoint, given, PAGES, store, silent)
                same = is_the_same_in_any_batch(model)
                found[f"{variant} {name}"] = [distance(model, checkpoint, store), same]
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
