"""What the check carries: machine code for one chip, the demo model, and the CPU engine's answers.

It is made where the compilers are, and kept in the store; a bundle has it beside its sources. A kit
for tests is small: fewer kernels, and the demo model's first layers.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from packing import families
from packing.carried import EIGHT_B, of_head, other_tiles, overlapped, usable, variants
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.cubins.facts import Cubin, Facts, listed, made_of, one
from raylax.kernels.cuda.cubins.overlap import LEAST
from raylax.kernels.cuda.variants import products
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.heads.checkpoint import HeadCheckpoint
from raylax.kernels.options import ProgressCallback
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.store import Store, key_of, source_hash

ROOT = Path(__file__).resolve().parents[3]
PACKED = ROOT / "kit"
"""Where a bundle has it."""
DEMO = ROOT / "deploy" / "demo_model"
KIND, FACTS, ANSWERS, DRAFTS = "gpu-kit", "kit.json", "answers.json", "drafts.npz"
HEAD, FILES = "eagle", ("config.json", "model.safetensors")
SMALL_LAYERS = 1


@dataclass(frozen=True)
class Kit:
    """One that lies in a directory."""

    directory: Path
    chip: int
    small: bool

    @property
    def cubins(self) -> Path:
        return self.directory / "cubins"

    @property
    def overlapped(self) -> Path | None:
        """The same for launches that overlap, where the chip can and the kit has them."""
        place = self.directory / "overlapped"
        return place if place.exists() else None

    @property
    def model(self) -> Path:
        """A checkpoint."""
        return self.directory / "model"

    @cached_property
    def answers(self) -> list[dict[str, Any]]:
        """`answers.py`'s."""
        return list(json.loads((self.directory / ANSWERS).read_text()))

    @cached_property
    def demo(self) -> DecoderSpec:
        """What its model is."""
        return open_checkpoint(self.model).spec

    @property
    def families(self) -> list[Path]:
        """Checkpoints of tiny models, with what is expected of them."""
        return sorted((self.directory / "families").iterdir())

    @cached_property
    def head(self) -> HeadCheckpoint:
        """Its model's draft head."""
        return HeadCheckpoint(self.directory / HEAD, open_checkpoint(self.model))

    @cached_property
    def drafts(self) -> Mapping[str, Any]:
        """`drafts.py`'s."""
        return dict(np.load(self.directory / DRAFTS))

    @property
    def timed(self) -> DecoderSpec:
        """The shape of a model whose steps are timed; small: one layer of the demo model."""
        return replace(self.demo, layers=1) if self.small else EIGHT_B

    @cached_property
    def variants(self) -> list[Variant]:
        return [*variants(self.chip, self.demo, self.small), *of_head(self.head, self.chip)]

    @cached_property
    def _listed(self) -> dict[str, Facts]:
        return listed(self.cubins, CHIPS[self.chip])

    @cached_property
    def swept(self) -> list[Variant]:
        """Tiles that are in no table, which are timed beside those that are."""
        return [one for one in other_tiles(self.chip) if one.name in self._listed]

    def cubin(self, variant: Variant) -> Cubin:
        """Raises CompileError where it is not there, or not of this source."""
        return one(self.cubins, variant, CHIPS[self.chip], self._listed)

    def made_by(self, kernel: str) -> Iterator[Variant]:
        """Variants of a kernel, as `linear_bf16`: all tiles."""
        return (one for one in self.variants if products.kernel_of(one) == kernel)


def packed_kit() -> Kit | None:
    """The bundle's, if this is one."""
    return kit_in(PACKED) if PACKED.exists() else None


def kit_in(directory: Path) -> Kit:
    """The one in a directory. Raises OSError, KeyError for what is none."""
    told = json.loads((directory / FACTS).read_text())
    return Kit(directory, told["chip"], told["small"])


def kit_for(chip: int, small: bool, progress: ProgressCallback) -> Kit:
    """From the store, or made now. Raises CompileError, CheckpointError."""
    read = open_checkpoint(DEMO)
    demo, head = read.spec, HeadCheckpoint(DEMO / HEAD, read)
    found = [*families.variants(chip, small), *of_head(head, chip), *variants(chip, demo, small)]
    wanted = list({variant.name: variant for variant in found}.values())
    wanted += [] if small else usable(other_tiles(chip), chip, progress)
    places = {"cubins": cubins_for(wanted, CHIPS[chip], Store(), progress)}
    if chip >= LEAST and not small:
        own = overlapped(chip, demo)
        places["overlapped"] = cubins_for(own, CHIPS[chip], Store(), progress)
        wanted += own
    digests = [made_of(variant, CHIPS[chip]) for variant in wanted]
    facts = {"cubins": digests, "small": small, "kernels": source_hash()}
    made = {name: source(name) for name in ("answers", "drafts")}
    key = key_of({**facts, **made, "families": families.made_of(small)})
    directory, _ = Store().get(KIND, key, lambda place: make(place, places, chip, small))
    return Kit(directory, chip, small)


def make(directory: Path, code: Mapping[str, Path], chip: int, small: bool) -> None:
    """A kit in an empty directory. `code`: what machine code is copied, and to where."""
    from packing import drafts
    from packing.answers import greedy_answers  # the CPU engine's, with its compiler

    model = directory / "model"
    for name, place in code.items():
        shutil.copytree(place, directory / name)
    for place in (model, directory / HEAD):
        place.mkdir()
    if small:
        first_layers(model)
    else:
        copy(DEMO, model)
    copy(DEMO / HEAD, directory / HEAD)
    if small:
        tapping_all(directory / HEAD / "config.json")
    told = [asdict(one) for one in greedy_answers(model, DEMO, small)]
    (directory / ANSWERS).write_text(json.dumps(told))
    drafts.keep(directory / HEAD, model, small, directory / DRAFTS)
    families.write(directory / "families", small)
    (directory / FACTS).write_text(json.dumps({"chip": chip, "small": small}))


def tapping_all(file: Path) -> None:
    """A draft head that has three features of those layers that there are."""
    config = json.loads(file.read_text())
    config["eagle_config"] = {"eagle_aux_hidden_state_layer_ids": [0, *[SMALL_LAYERS] * 2]}
    file.write_text(json.dumps(config))


def copy(source: Path, to: Path) -> None:
    """A checkpoint's files."""
    for name in FILES:
        shutil.copyfile(source / name, to / name)


def source(name: str) -> str:
    """Of what makes a part of a kit."""
    return Path(__file__).with_name(f"{name}.py").read_text()


def first_layers(directory: Path) -> None:
    """A checkpoint of the demo model's first layers."""
    from safetensors.numpy import load_file, save_file

    config = json.loads((DEMO / "config.json").read_text())
    (directory / "config.json").write_text(
        json.dumps({**config, "num_hidden_layers": SMALL_LAYERS})
    )
    gone = tuple(f"model.layers.{i}." for i in range(SMALL_LAYERS, config["num_hidden_layers"]))
    weights = load_file(DEMO / "model.safetensors")
    kept = {name: one for name, one in weights.items() if not name.startswith(gone)}
    save_file(kept, directory / "model.safetensors")
