"""Of which source a report is."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def commit() -> dict[str, str]:
    """The commit, and whether what is here differs from it; of a bundle, as it was packed."""
    packed = ROOT / "kit" / "commit.json"
    if packed.exists():
        return dict(json.loads(packed.read_text()))
    try:
        head, changed = (
            subprocess.run(
                ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown"}
    return {"commit": head + (", changed" if changed else "")}
