"""No kernel that is shipped spills, or breaks another rule, on any chip: as it was compiled last,
which must have been from the source that is here."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from raylax.kernels.cuda.cubins.chips import CHIPS, Chip
from raylax.kernels.cuda.cubins.facts import Facts, made_of
from raylax.kernels.cuda.cubins.rules import broken, broken_together
from raylax.kernels.cuda.pages import FORMATS
from raylax.kernels.cuda.variants.base import PRECISIONS, Variant
from tests.kernels.cuda.cubins.test_rules import GOOD
from tests.support import cuda_verdicts
from tests.support.cuda_models import DIMS, shipped
from tests.support.cuda_scaled import SCALED
from tests.support.cuda_verdicts import facts_in, outdated, renew, verdict

SCRIPT = "scripts/verdicts"


@pytest.fixture(params=CHIPS.values(), ids=lambda chip: chip.name)
def chip(request: pytest.FixtureRequest) -> Chip:
    """Each chip that there are kernels for."""
    chip: Chip = request.param
    return chip


def test_whatever_heads_a_model_has_some_like_them_were_compiled(chip: Chip) -> None:
    """Each property with most of the others, for all of them at once are thousands."""
    made = [one for one in shipped(chip) if one.kernel == "attention:attend"]
    seen = [one.constants for one in made]

    assert {c["HEADS"] // c["KV_HEADS"] for c in seen} == set(range(1, 17))
    assert {(c["D"], c["KV"]) for c in seen} > set(product(DIMS, FORMATS.values()))
    assert {(v.types["q"], v.constants["KV"]) for v in made} == set(
        product(PRECISIONS.values(), FORMATS.values())
    )
    names = "WINDOW", "SOFTCAP", "SINKS", "LEARNED"
    traits = {tuple(name for name in names if c[name]) for c in seen}
    assert traits == {(), names[:2], names[:3], (names[0], names[3])}
    for kernel in ("add_norm", "final_norm"):
        norms = [one.constants for one in shipped(chip) if one.kernel == f"pointwise:{kernel}"]
        assert {c["PARTS"] for c in norms} >= {1, 2, 4, 8}
        assert {c["WIDTH"] for c in norms} >= {64, 256, 1024, 2048, 4096, 8192, 16384}


def test_every_kernel_has_been_compiled_as_it_is_now(chip: Chip) -> None:
    """Else run the script, which compiles what has changed."""
    old = [variant.name for variant in outdated(chip, verdict(chip))]

    assert not old, f"{len(old)} kernels have changed: run {SCRIPT} {chip.name}"
    assert verdict(chip)["kernels"].keys() == {variant.name for variant in shipped(chip)}


def test_none_breaks_a_rule(chip: Chip) -> None:
    found = facts_in(verdict(chip))

    assert [line for name in found for line in broken(name, chip, found[name])] == []
    assert broken_together(chip, found) == []


def test_weights_keys_and_values_are_loaded_sixteen_bytes_at_a_time(chip: Chip) -> None:
    slow = [
        name
        for name, facts in facts_in(verdict(chip)).items()
        if facts.structure.products
        and not any(".128" in load for load in (*facts.reading.copies, *facts.reading.loads))
    ]

    assert slow == []


# How verdicts are renewed


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled, if there are two variants and no verdict yet."""
    names = list[str]()

    def compile_all(
        variants: Sequence[Variant], chip: Chip, _: Path, each: Callable[[Variant, Facts], None]
    ) -> list[str]:
        for variant in variants:
            names.append(variant.name)
            if variant.name != "bad":
                each(variant, replace(GOOD, made_of=made_of(variant, chip)))
        return [f"{name} is bad" for name in names if name == "bad"]

    monkeypatch.setattr(cuda_verdicts, "VERDICTS", tmp_path)
    monkeypatch.setattr(cuda_verdicts, "compile_all", compile_all)
    ship(monkeypatch, SCALED, replace(SCALED, name="other"))
    return names


def ship(monkeypatch: pytest.MonkeyPatch, *variants: Variant) -> None:
    monkeypatch.setattr(cuda_verdicts, "shipped", lambda chip: list(variants))


def test_only_what_has_changed_is_compiled_again(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = CHIPS[90]
    assert renew(chip) == [] and compiled == ["scaled", "other"]
    assert renew(chip) == [] and compiled == ["scaled", "other"]

    changed = replace(SCALED, warps=8)
    ship(monkeypatch, changed)
    assert outdated(chip, verdict(chip)) == [changed]
    assert renew(chip) == [] and compiled[2:] == ["scaled"]
    assert facts_in(verdict(chip)).keys() == {"scaled"}, "what is gone is forgotten"


def test_all_is_compiled_again_by_another_compiler(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    renew(CHIPS[90])
    newer = {"triton": "3.9.0", "ptxas": "14.0.1"}
    monkeypatch.setattr(cuda_verdicts, "versions", lambda chip: newer)

    assert len(outdated(CHIPS[90], verdict(CHIPS[90]))) == 2


def test_what_is_refused_has_no_verdict(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(monkeypatch, SCALED, bad := replace(SCALED, name="bad"))

    assert renew(CHIPS[90]) == ["bad is bad"]
    assert outdated(CHIPS[90], verdict(CHIPS[90])) == [bad]
