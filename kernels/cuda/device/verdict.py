"""What the check of our kernels on a real GPU came to (`bench/gpu/check.py`), kept in the store.

A verdict holds for one generation of chips, one driver and one state of the kernels' source: its
file is named by them, so another source has none until it is checked again. It is JSON as the check
writes it, of which is read: `{"checks": {NAME: {"ok": true}}}`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from raylax.kernels.cuda.cubins.source import code_of
from raylax.kernels.ownership import check_ours
from raylax.kernels.store import default_root, make_private

KIND = "gpu-check"
ROOM = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which checks held on a GPU, and which did not."""

    held: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """All held. None at all is not enough."""
        return bool(self.held) and not self.failed


@cache
def source() -> str:
    """A digest of all code of kernels for GPUs, but for what it says of itself."""
    digest = hashlib.sha256()
    for path in sorted(ROOM.rglob("*.py")):
        digest.update(f"{path.relative_to(ROOM)}\n{code_of(path)}\n".encode())
    return digest.hexdigest()[:32]


def place(chip: str, driver: str, store: Path | None = None) -> Path:
    """Where the verdict on a chip, as `sm_90`, with a driver, as `580.65.06`, is kept."""
    return (store or default_root()) / KIND / f"{chip}-{driver}-{source()}.json"


def read(chip: str, driver: str, store: Path | None = None) -> Verdict | None:
    """The verdict; None where nothing was checked. Raises UntrustedPath for one that somebody else
    could have written."""
    path = place(chip, driver, store)
    if not path.exists():
        return None
    check_ours(path)
    try:
        checks = json.loads(path.read_text())["checks"]
        held = {name: one["ok"] is True for name, one in checks.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return Verdict((), ("the file of the verdict cannot be read",))
    return Verdict(
        tuple(name for name, ok in held.items() if ok),
        tuple(name for name, ok in held.items() if not ok),
    )


def write(
    chip: str, driver: str, checks: Mapping[str, Mapping[str, Any]], store: Path | None = None
) -> Path:
    """Keep a verdict: each check by name, with what came of it, `ok` at least. Where it is."""
    path = place(chip, driver, store)
    make_private(path.parent)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"checks": checks}, indent=1))
    unfinished.rename(path)
    return path
