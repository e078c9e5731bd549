"""What is loaded is what was compiled from the source that is here, or nothing is."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.cuda.cubins.chips import CHIPS, Chip
from raylax.kernels.cuda.cubins.facts import (
    HIDDEN,
    LISTED,
    Facts,
    chip_of,
    load,
    made_of,
    write,
)
from raylax.kernels.cuda.cubins.reading import Reading, Structure
from raylax.kernels.cuda.variants.base import Variant, signature
from raylax.kernels.errors import CompileError, UntrustedPath

HOPPER, AMPERE = CHIPS[90], CHIPS[80]
SCALED = Variant(
    "scaled",
    "tests.support.cuda_mistakes:scaled",
    signature("x:k y:f factor:s n:i"),
    {"BLOCK": 256},
    aligned=("n",),
)


def cubin(chip: Chip, abi: int) -> bytes:
    """The header of machine code, in one of the two forms that there are."""
    flags = chip.number << 8 | 0x06000004 if abi == 8 else chip.number << 16 | 0x500 | chip.number
    head = struct.pack("<4s4xB7x2xHIQQQI", b"\x7fELF", abi, 190, 1, 0, 0, 0, flags)
    return head.ljust(64, b"\0") + b"code"


CODE = cubin(HOPPER, 8)


def facts_of(variant: Variant, chip: Chip, code: bytes) -> Facts:
    return Facts(
        made_of(variant, chip),
        variant.kernel,
        "raylax_scaled",
        (*variant.types.values(), *HIDDEN),
        tuple(variant.types),
        dict(variant.constants),
        128,
        0,
        0,
        0,
        sha256(code).hexdigest(),
        Reading(20, 0, 0, 100, {}, {}, {"LDG.E.64": 1}),
        Structure(0, 0, ("tensor<4xf32, #a>",), 0),
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A directory as it is compiled for H100."""
    (tmp_path / "scaled.cubin").write_bytes(CODE)
    facts = facts_of(SCALED, HOPPER, CODE)
    write(tmp_path, HOPPER, {"triton": "3.9.0", "ptxas": "13.4.59"}, {"scaled": facts})
    return tmp_path


def test_what_was_written_is_loaded(made: Path) -> None:
    loaded = load(made, [SCALED], HOPPER)

    assert loaded["scaled"] == (CODE, facts_of(SCALED, HOPPER, CODE))


@pytest.mark.parametrize(
    "changed",
    [
        {"warps": 8},
        {"stages": 4},
        {"constants": {"BLOCK": 512}},
        {"types": signature("x:f y:f factor:s n:i")},
        {"types": signature("y:f x:k factor:s n:i")},
        {"aligned": ()},
        {"overlapped": True},
        {"kernel": "tests.support.cuda_mistakes:summed"},
    ],
)
def test_another_variant_by_that_name_is_refused(made: Path, changed: dict[str, Any]) -> None:
    """All that machine code follows from is in its name: each part counts."""
    with pytest.raises(CompileError, match="compiled from another version of its source") as error:
        load(made, [replace(SCALED, **changed)], HOPPER)

    assert str(error.value) == (
        f"{made}: scaled was compiled from another version of its source, or with other options; "
        "compile for cuda/sm_90 again"
    )


def test_another_chip_is_another_name() -> None:
    assert made_of(SCALED, HOPPER) != made_of(SCALED, AMPERE)


def test_how_many_tokens_a_variant_is_chosen_for_does_not_count() -> None:
    assert made_of(SCALED, HOPPER) == made_of(replace(SCALED, most=8), HOPPER)


@pytest.mark.parametrize("reached", ["tests.support.cuda_mistakes", "compiler"])
def test_a_changed_source_is_refused(
    made: Path, monkeypatch: pytest.MonkeyPatch, reached: str
) -> None:
    """The kernel's own, and that of what compiles it."""
    monkeypatch.setattr(
        "raylax.kernels.cuda.cubins.facts.digest_of",
        lambda module: "changed" if module.endswith(reached) else "unchanged",
    )
    with pytest.raises(CompileError, match="scaled was compiled from another version"):
        load(made, [SCALED], HOPPER)


def test_what_is_not_there_is_refused(made: Path) -> None:
    with pytest.raises(CompileError, match="other is not there; compile for cuda/sm_90 again"):
        load(made, [SCALED, replace(SCALED, name="other")], HOPPER)


def test_what_another_model_has_instead_is_named(made: Path) -> None:
    """Both, by their sizes."""
    listed = json.loads((made / LISTED).read_text())
    listed["kernels"] = {"attend_bf16_h4_2_64": listed["kernels"]["scaled"]}
    (made / LISTED).write_text(json.dumps(listed))
    said = r"attend_bf16_h8_2_64 is not there, and attend_bf16_h4_2_64 of another model is; compile"
    with pytest.raises(CompileError, match=said):
        load(made, [replace(SCALED, name="attend_bf16_h8_2_64")], HOPPER)


def change_listed(**changes: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / LISTED
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: (d / "scaled.cubin").write_bytes(CODE + b"!"), "is not the file that was comp"),
        (lambda d: (d / "scaled.cubin").unlink(), "No such file"),
        (lambda d: (d / LISTED).unlink(), "must be a directory that `raylax compile --target`"),
        (lambda d: (d / LISTED).write_text("[]"), "must be a directory that `raylax compile"),
        (lambda d: (d / LISTED).write_text("{"), "must be a directory that `raylax compile"),
        (change_listed(kernels={"scaled": {"names": []}}), "must be a directory that `raylax"),
        (change_listed(chip="sm_80"), "has kernels for sm_80; this is sm_90"),
    ],
)
def test_damage_is_named(made: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(made)

    with pytest.raises(CompileError, match=said) as error:
        load(made, [SCALED], HOPPER)
    assert "\n" not in str(error.value)


def test_machine_code_of_another_chip_is_refused(tmp_path: Path) -> None:
    """Whatever the list says."""
    code = cubin(AMPERE, 7)
    (tmp_path / "scaled.cubin").write_bytes(code)
    write(tmp_path, HOPPER, {}, {"scaled": facts_of(SCALED, HOPPER, code)})

    with pytest.raises(CompileError, match="scaled is machine code for sm_80"):
        load(tmp_path, [SCALED], HOPPER)


def test_nothing_is_loaded_from_where_others_may_write(made: Path) -> None:
    (made / "scaled.cubin").chmod(0o666)

    with pytest.raises(UntrustedPath, match=r"scaled\.cubin can be written by other users"):
        load(made, [SCALED], HOPPER)


@pytest.mark.parametrize("number", CHIPS)
@pytest.mark.parametrize("abi", [7, 8])
def test_machine_code_names_its_chip(number: int, abi: int) -> None:
    assert chip_of(cubin(CHIPS[number], abi)) == number


@pytest.mark.parametrize("code", [b"", b"\x7fELF", bytes(64), b"\x7fELF" + bytes(60)])
def test_what_is_no_machine_code_has_no_chip(code: bytes) -> None:
    assert chip_of(code) is None
