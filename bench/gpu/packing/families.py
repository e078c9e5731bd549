"""Tiny models of the families that differ from Llama, with what transformers computes for them: the
kit has them, for the device to be compared with. They are made where the tests are, of a checkout."""

import hashlib
import sys
from pathlib import Path
from typing import Any

from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.families import spec_of

ROOT = Path(__file__).resolve().parents[3]
SMALL = ("granite", "gpt-oss")


def names(small: bool) -> tuple[str, ...]:
    """Those that a kit has."""
    return SMALL if small else tests().FAMILIES


def write(directory: Path, small: bool) -> list[Path]:
    """A checkpoint of each in this directory."""
    return [tests().written(directory, name) for name in names(small)]


def variants(chip: int, small: bool) -> list[Variant]:
    """All machine code that they need."""
    own = tests()
    options, found = own.options(f"sm_{chip}"), dict[str, Variant]()
    for name in names(small):
        form = DeviceForm.of(spec_of(own.CONFIGS[name]), "float16", options, CHIPS[chip])
        found |= {one.name: one for one in form.variants()}
    return list(found.values())


def made_of(small: bool) -> dict[str, Any]:
    """All that they follow from."""
    own = tests()
    digest = hashlib.sha256((own.GOLDENS / "families.npz").read_bytes()).hexdigest()
    return {"configs": {name: own.CONFIGS[name] for name in names(small)}, "goldens": digest}


def tests() -> Any:
    """The tests' module of them."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tests.support import cuda_families

    return cuda_families
