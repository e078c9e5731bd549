"""The compiled sampler in the store, and whether it may be compiled."""

from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.cpu import compile
from raylax.kernels.cpu.sampler import artefact
from raylax.kernels.cpu.sampler.artefact import sampler_library
from raylax.kernels.errors import CompileError
from raylax.kernels.store import JIT_VARIABLE, Store


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each time that it was compiled, which is soon done."""
    times: list[int] = []

    def export(_: Any, path: Path, cc: str) -> None:
        times.append(1)
        path.write_text(f"sampler {len(times)}")

    monkeypatch.setattr(artefact, "compiled", lambda target: None)
    monkeypatch.setattr(compile, "linker", lambda target: "cc")
    monkeypatch.setattr(compile, "export", export)
    return times


def test_it_is_compiled_once_for_all_models(
    compiled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store has is used whatever the policy says, but for REDO, which makes it again."""
    found = set[Path | None]()
    for policy in ("ON", "ON", "READONLY", "OFF"):
        monkeypatch.setenv(JIT_VARIABLE, policy)
        found.add(sampler_library(None, Store(tmp_path)))
    assert len(found) == len(compiled) == 1

    monkeypatch.setenv(JIT_VARIABLE, "REDO")
    assert (made := sampler_library(None, Store(tmp_path))) in found
    assert made is not None and made.read_text() == "sampler 2"


@pytest.mark.parametrize("policy", ["READONLY", "OFF"])
def test_a_policy_that_has_nothing_compiled_holds_for_it(
    compiled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setenv(JIT_VARIABLE, policy)
    with pytest.raises(CompileError) as found:
        sampler_library(None, Store(tmp_path))

    assert str(found.value) == (
        "the compiled sampler, which all models share, is not in the store, and with "
        f"MLC_JIT_POLICY={policy} nothing is compiled: `raylax compile` the model before, or set "
        "MLC_JIT_POLICY=ON"
    )
    assert not compiled
