"""The profile of a real engine, for `raylax replay --profile FILE`.

    python bench/calibrate.py [URL] > profile.json

A worker learns from its steps what they cost, so let it serve something first: prompts and answers
like those to be replayed. Printed is the first worker's pace with its limits.
"""

import argparse

from raylax.cluster.simulate.profile import profile_named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    print(profile_named(parser.parse_args().url).as_json())


if __name__ == "__main__":
    main()
