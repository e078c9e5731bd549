"""A model for a GPU: its machine code, the one that is given or the store's, and what it takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from raylax.kernels.build import build, footprint
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.errors import CompileError, UntrustedPath
from raylax.kernels.options import ModelOptions
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.loading import plan_rank
from tests.support.cuda_scaled import SCALED

ON_HOPPER = ModelOptions(device="cuda", target="sm_90")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> list[Variant]:
    """A model's machine code is one kernel: compiling all takes minutes."""
    variants = [SCALED]
    monkeypatch.setattr("raylax.kernels.cuda.form.all_for", lambda *_: variants)
    return variants


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of this file's."""
    return tmp_path_factory.mktemp("store")


def test_machine_code_is_made_once(checkpoint: Path, own: Path) -> None:
    """And found without a word about kernels that are compiled."""
    made = build(checkpoint, ON_HOPPER, 32, own)
    said: list[str] = []

    again = build(checkpoint, ON_HOPPER, 32, own, lambda stage, _: said.append(stage))

    assert again == made
    assert said == []


def test_machine_code_that_is_given_is_this_models(
    checkpoint: Path, own: Path, small: list[Variant]
) -> None:
    """It is taken where it lies, if it has every kernel of the model for this chip."""
    given = replace(ON_HOPPER, library=build(checkpoint, ON_HOPPER, 32, own))

    assert build(checkpoint, given, 32) == given.library
    with pytest.raises(CompileError, match="has kernels for sm_90; this is sm_89"):
        build(checkpoint, replace(given, target="sm_89"), 32)
    small.append(replace(SCALED, name="another"))
    with pytest.raises(CompileError, match="another is not there; compile for cuda/sm_90 again"):
        build(checkpoint, given, 32)


def test_machine_code_that_another_user_could_replace_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Before anything of it is read."""
    tmp_path.chmod(0o777)

    with pytest.raises(UntrustedPath, match=rf"{tmp_path} can be written .*model_lib"):
        build(checkpoint, replace(ON_HOPPER, library=str(tmp_path)), 1)


def test_what_is_no_machine_code_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="must be a directory that `raylax compile --target` wr"):
        build(checkpoint, replace(ON_HOPPER, library=str(tmp_path / "step.so")), 1)


def test_an_engine_on_a_cpu_refuses_machine_code_for_gpus(checkpoint: Path, own: Path) -> None:
    """Before anything is compiled."""
    made = build(checkpoint, ON_HOPPER, 32, own)
    config = EngineConfig(model=str(checkpoint), mode="server", model_lib=made)

    with pytest.raises(ConfigError, match="is for GPUs, and this engine runs on a CPU"):
        plan_rank(config, "cpu")


@pytest.mark.parametrize(("kv", "scales"), [("bf16", 0), ("int8", 1)])
def test_a_page_holds_keys_and_values_of_all_layers(checkpoint: Path, kv: str, scales: int) -> None:
    """Numbers of bytes have scales."""
    needs = footprint(checkpoint, replace(ON_HOPPER, kv_dtype=kv))

    layers, kv_heads, dim = 2, 2, 32
    number = 1 if scales else 2
    assert needs.page == layers * 2 * kv_heads * 16 * (dim * number + 4 * scales)
