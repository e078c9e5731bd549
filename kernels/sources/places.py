"""What has been downloaded lies here, but for what huggingface_hub keeps; and whether more fits."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.download import Job
from raylax.kernels.store import default_root

MB = 1_000_000


def models() -> Path:
    """Of this user."""
    return default_root() / "models"


def check_room(directory: Path, jobs: Sequence[Job], remedy: str) -> None:
    """Raises CheckpointError, with the arithmetic, for a disk that is too small."""
    there = next(place for place in (directory, *directory.parents) if place.exists())
    missing, whole = sum(job.missing for job in jobs), sum(job.file.size for job in jobs)
    free = shutil.disk_usage(there).free
    if missing > free:
        had = f" ({size(whole)}, of which {size(whole - missing)} are there)"
        raise CheckpointError(
            f"{directory}: {size(missing)} must be downloaded{had if missing < whole else ''}, "
            f"and {size(free)} are free; {remedy}"
        )


def size(count: int) -> str:
    """Bytes as hubs say them, in powers of ten."""
    return f"{count / 1000 / MB:.2f} GB" if count >= 1000 * MB else f"{count / MB:.1f} MB"
