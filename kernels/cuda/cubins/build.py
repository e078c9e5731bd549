"""A chip's machine code, from the store, from what was installed with raylax, or compiled now.

A cubin lies in the store by itself, named by all that it follows from, so that models share those
that know no model, and a change compiles what it has changed. What a model needs is put together in
one directory, which serves without Triton.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.cubins.facts import Facts, file_of, listed, made_of, write
from raylax.kernels.cuda.cubins.rules import broken_together
from raylax.kernels.cuda.cubins.source import code_of
from raylax.kernels.cuda.cubins.toolchain import versions
from raylax.kernels.cuda.cubins.workers import compile_all
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ProgressCallback
from raylax.kernels.store import JitPolicy, Store, jit_policy, key_of

ONE, ALL = "cubin", "cubins"
"""Kinds of artefacts: one variant's machine code, and all of a model's."""
JUDGES = ("facts", "reading", "rules", "worker")
"""Files that decide what is known of machine code, and whether it may be used."""
SHIPPED = Path(__file__).parent.parent / "shipped"
"""What was compiled when raylax was packed, a directory for each chip; it need not be there."""


def cubins_for(
    variants: Sequence[Variant], chip: Chip, store: Store, progress: ProgressCallback
) -> Path:
    """The directory of these variants' machine code, to be given to `load`.

    Raises CompileError where something that has to be compiled is refused, a line for each, or
    Triton is not there.
    """
    digests = {variant.name: made_of(variant, chip) for variant in variants}
    if len(digests) < len(variants):
        names = [variant.name for variant in variants]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CompileError(f"variants must have different names; twice there: {', '.join(twice)}")
    shipped = shipped_for(chip, digests)
    by = versions(chip) if len(shipped) < len(variants) else {}
    judged = {"judges": [code_of(Path(__file__).with_name(f"{name}.py")) for name in JUDGES], **by}
    keys = {name: key_of({"of": digest, **judged}) for name, digest in digests.items()}
    policy = jit_policy()
    build = Build(chip, store, by, keys, progress, policy)
    key = key_of({"keys": keys, "shipped": sorted(shipped)})
    fill = lambda directory: build.fill(directory, variants, shipped)  # noqa: E731
    return store.get(ALL, key, fill, policy is JitPolicy.REDO)[0]


def shipped_for(chip: Chip, digests: Mapping[str, str]) -> dict[str, Facts]:
    """Those variants that were installed with raylax, and made of what is here."""
    directory = SHIPPED / chip.name
    found = listed(directory, chip) if directory.exists() else {}
    return {n: facts for n, facts in found.items() if digests.get(n) == facts.made_of}


@dataclass(frozen=True, slots=True)
class Build:
    """The making of one directory."""

    chip: Chip
    store: Store
    versions: dict[str, str]
    """Of what compiles; empty where nothing has to be."""
    keys: dict[str, str]
    """Each variant's name in the store. What has judged it counts: its facts are there, too."""
    progress: ProgressCallback
    policy: JitPolicy = JitPolicy.ON
    found: dict[str, Facts] = field(default_factory=dict)

    def fill(
        self, directory: Path, variants: Sequence[Variant], shipped: Mapping[str, Facts]
    ) -> None:
        """Put all variants' machine code and the list of it there. Raises CompileError."""
        for name, facts in shipped.items():
            self.take(SHIPPED / self.chip.name, directory, name, facts)
        missing = [variant for variant in variants if not self.stored(variant.name, directory)]
        if missing:
            self.policy.check_found(f"machine code for {self.chip.name} ({missing[0].name})")
        self.progress(self.stage, len(self.found) / len(variants))

        def each(variant: Variant, facts: Facts) -> None:
            self.found[variant.name] = facts
            self.keep(variant.name, facts, directory)
            self.progress(self.stage, len(self.found) / len(variants))

        wrong = compile_all(missing, self.chip, directory, each) if missing else []
        if wrong := wrong or broken_together(self.chip, self.found):
            raise CompileError("\n".join(sorted(wrong)))
        ordered = {variant.name: self.found[variant.name] for variant in variants}
        write(directory, self.chip, self.versions, ordered)

    @property
    def stage(self) -> str:
        """What a user is told."""
        return f"compile for {self.chip.name}"

    def take(self, place: Path, directory: Path, name: str, facts: Facts) -> None:
        """Copy one variant's machine code."""
        shutil.copyfile(file_of(place, name), file_of(directory, name))
        self.found[name] = facts

    def stored(self, name: str, directory: Path) -> bool:
        """Whether a variant is there already, or was in the store and now is."""
        again = self.policy is JitPolicy.REDO
        place = None if again else self.store.find(ONE, self.keys[name])
        if name not in self.found and place:
            self.take(place, directory, name, listed(place, self.chip)[name])
        return name in self.found

    def keep(self, name: str, facts: Facts, directory: Path) -> None:
        """Put what was compiled into the store, for other models."""

        def fill(place: Path) -> None:
            shutil.copyfile(file_of(directory, name), file_of(place, name))
            write(place, self.chip, self.versions, {name: facts})

        self.store.get(ONE, self.keys[name], fill, self.policy is JitPolicy.REDO)
