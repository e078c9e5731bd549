"""Where things lie, for tests that read files of the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
GOLDENS = ROOT / "tests" / "goldens"
"""What other implementations computed."""
