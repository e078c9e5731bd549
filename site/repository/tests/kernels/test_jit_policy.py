"""Whether what a model runs may be compiled, or must have been, and by whom it is named."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.build import build
from raylax.kernels.cpu import compile
from raylax.kernels.cpu.library import MADE_FOR
from raylax.kernels.errors import CompileError
from raylax.kernels.options import LIBRARY, ModelOptions, silent
from raylax.kernels.store import JIT_VARIABLE, JitPolicy, jit_policy

OPTIONS = ModelOptions("q0f32", max_step_tokens=64, max_step_rows=8, max_sequence_length=64)
Build = Callable[..., str]


@pytest.fixture
def compiled() -> list[int]:
    """One for each time that something was compiled."""
    return []


@pytest.fixture
def built(
    checkpoint: Path, tmp_path: Path, compiled: list[int], monkeypatch: pytest.MonkeyPatch
) -> Build:
    """Builds in a store of its own, by a compiler that is soon done, under a policy."""

    def export(_: Any, path: Path, cc: str) -> None:
        compiled.append(1)
        path.write_text(f"library {len(compiled)}")

    monkeypatch.setattr(compile, "compile_step", lambda emitter: None)
    monkeypatch.setattr(compile, "export", export)
    monkeypatch.setattr("raylax.kernels.build.sampler_library", lambda *_: None)  # is every model's

    def built(policy: str, **changed: Any) -> str:
        monkeypatch.setenv(JIT_VARIABLE, policy)
        options = replace(OPTIONS, **changed)
        return build(checkpoint, options, 8, tmp_path / "store", silent)

    return built


def test_it_is_compiled_once(built: Build, compiled: list[int]) -> None:
    """ON: what the store has is used; READONLY the same, and REDO makes it again."""
    where = built("ON")
    assert built("ON") == built("READONLY") == where
    assert (len(compiled), Path(where).read_text()) == (1, "library 1")
    assert built("REDO") == where

    assert (len(compiled), Path(where).read_text()) == (2, "library 2")
    assert built("") == where and len(compiled) == 2


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("READONLY", "the compiled step of this model is not in the store, and with MLC_JIT_POLICY"
         "=READONLY nothing is compiled: `raylax compile` the model before, or set MLC_JIT_POLI"),
        ("OFF", "with MLC_JIT_POLICY=OFF the compiled step of this model must be named by model_lib"
         ", found none: name it, or set MLC_JIT_POLICY=ON"),
        ("off", "MLC_JIT_POLICY must be ON, OFF, REDO, READONLY; found 'off'"),
    ],
)  # fmt: skip
def test_what_is_refused(built: Build, compiled: list[int], policy: str, said: str) -> None:
    """In one line, with what can be done."""
    with pytest.raises(CompileError) as found:
        built(policy)

    assert str(found.value).startswith(said) and "\n" not in str(found.value)
    assert not compiled


@pytest.mark.parametrize("policy", JitPolicy)
def test_what_is_named_is_taken_from_anywhere(
    built: Build, compiled: list[int], tmp_path: Path, policy: JitPolicy
) -> None:
    """By its file or its directory; then nothing is compiled."""
    made = Path(built("ON"))
    there = Path(shutil.copytree(made.parent, tmp_path / "elsewhere"))
    shutil.rmtree(made.parent)

    for given in (there, there / LIBRARY):
        assert built(policy, library=str(given)) == str(there / LIBRARY)
    assert len(compiled) == 1


def test_one_of_another_model_is_refused_with_both(built: Build, tmp_path: Path) -> None:
    other = built("ON", kv_dtype="int8")
    with pytest.raises(CompileError) as found:
        built("ON", library=other)

    first, _, second = str(found.value).partition("; this model needs one for ")
    assert first.startswith(f"model_lib {other} was made for layers of 64 with 4 heads")
    assert "q0f32, kv int8, on " in first and "q0f32, kv f32, on " in second
    assert "\n" not in str(found.value)


def test_what_is_no_library_is_refused(built: Build, tmp_path: Path) -> None:
    """Nor one that does not say what it was made for."""
    made, nowhere = Path(built("ON")), tmp_path / "nowhere"
    copied = shutil.copy(made, tmp_path / "copied.so")

    for given, said in (
        (nowhere, f"model_lib {nowhere}: there is no library, {nowhere} is missing"),
        (tmp_path, f"there is no library, {tmp_path / LIBRARY} is missing"),
        (copied, f"model_lib {tmp_path}: its {MADE_FOR}, which says what it was made for, cannot"),
    ):
        with pytest.raises(CompileError) as found:
            built("ON", library=str(given))
        assert said in str(found.value)


def test_a_policy_is_on_where_nothing_is_said() -> None:
    assert jit_policy({}) is jit_policy({JIT_VARIABLE: ""}) is JitPolicy.ON
