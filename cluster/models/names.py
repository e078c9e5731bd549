"""Names of models: those that clients know, and ours for what runs inside.

A served name is shown and asked for as it was given, in any script. Ray makes file names, metric
tags and actor names of what it is told: for it each model has a name of plain ASCII.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from raylax.cluster.errors import UserError

LONGEST = 256
"""Characters of a served name."""
LONGEST_SLUG = 24
UNSEEN = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line's end",
          "Zp": "a line's end"}  # fmt: skip
"""Kinds of characters that no name may have: they break lines, or cannot be sent."""


def check_name(name: str, checkpoint: str, setting: str = "served_model_name") -> None:
    """Raises UserError for a name by which no client could ask. `checkpoint`: whose it is;
    `setting`: where it was given."""
    unseen = [(UNSEEN[kind], c) for c in name if (kind := unicodedata.category(c)) in UNSEEN]
    if not name.strip():
        why = "must not be empty"
    elif len(name) > LONGEST:
        why = f"must have at most {LONGEST} characters, found {len(name)}"
    elif unseen:
        why = f"must be characters that can be shown, found {unseen[0][0]}, {ascii(unseen[0][1])}"
    elif name != name.strip():
        why = f"must not begin or end with a space, found {name!r}"
    else:
        return
    raise UserError(f"{setting} {why}; give {ascii(checkpoint)} another")


def deployment_names(served: Sequence[str]) -> list[str]:
    """Of each model's workers, by the names that they are served by, which differ. A model keeps
    its name whatever comes and goes beside it."""
    return [f"Worker-{slug(name)}{digest(name)}" for name in served]


def slug(name: str) -> str:
    """What of a name is plain ASCII, for who reads logs, and a line behind it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    kept = re.sub("[^A-Za-z0-9]+", "-", plain).strip("-")[:LONGEST_SLUG].rstrip("-")
    return f"{kept}-" if kept else ""


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]
