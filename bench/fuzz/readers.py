"""Feeds the readers of checkpoints with files that lie, for as long as it is told.

    python bench/fuzz/readers.py [--seconds 600] [--seed N] [--only NAME ...] [--case NAME NUMBER]

Each case is a small valid checkpoint of some kind with a few changes to its structure: counts,
types, places, names, nesting, a pipe in a file's place. It must be read, or refused in a line of
text: in bounded time and memory, and without any other exception. What breaks that is shown once for
each place in the code, with the case that shows it again. The exit status is 0 if nothing did.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.fuzz.readers import Finding, one, within_time  # noqa: E402
from tests.support.fuzz.seeds import SEEDS  # noqa: E402

MOST_SHOWN = 30


def run(root: Path, args: argparse.Namespace) -> list[Finding]:
    """Cases in turn, until the time is over; what was found, each place once."""
    names, found, cases = args.only or list(SEEDS), dict[str, Finding](), Counter[str]()
    end, number = time.monotonic() + args.seconds, args.seed
    while time.monotonic() < end and len(found) < MOST_SHOWN:
        for name in names:
            with within_time():
                said, finding = one(root, name, number)
            cases["broken" if finding else "refused" if said else "read"] += 1
            if finding and (place := finding.why.rpartition(" at ")[2]) not in found:
                found[place] = finding
                print(f"{finding.case}: {finding.why}", flush=True)
        number += 1
    told = ", ".join(f"{count} {what}" for what, count in cases.most_common())
    print(f"{cases.total()} cases from seed {args.seed} on: {told}; {len(found)} places at fault")
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=SEEDS)
    parser.add_argument("--case", nargs=2, metavar=("NAME", "NUMBER"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["RAYLAX_STORE"] = f"{directory}/store"
        if args.case:
            said, finding = one(Path(directory), args.case[0], int(args.case[1]))
            print(finding or said or "read")
            sys.exit(bool(finding))
        sys.exit(bool(run(Path(directory), args)))


if __name__ == "__main__":
    main()
