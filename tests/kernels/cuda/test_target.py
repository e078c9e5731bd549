"""Targets and formats by name: what there is, and what is refused."""

import pytest

from raylax.kernels.cuda.target import check_kv_dtype, gpu, gpu_for, quantization_of
from raylax.kernels.errors import CompileError


@pytest.mark.parametrize(
    ("capability", "target"),
    [((8, 0), "sm_80"), ((8, 6), "sm_80"), ((8, 9), "sm_89"), ((9, 0), "sm_90")]
    + [((10, 0), "sm_100"), ((10, 3), "sm_100")],
)
def test_a_chip_has_the_newest_target_that_it_runs(
    capability: tuple[int, int], target: str
) -> None:
    """Machine code runs on later chips of the same generation."""
    assert gpu_for(capability) == gpu(target)


@pytest.mark.parametrize("capability", [(7, 5), (12, 0)])
def test_a_chip_without_a_target_is_refused(capability: tuple[int, int]) -> None:
    """By its compute capability, with what there is."""
    said = f"capability {capability[0]}.{capability[1]}, which runs none of sm_80, sm_89, sm_90, sm"
    with pytest.raises(CompileError, match=said):
        gpu_for(capability)


@pytest.mark.parametrize("name", ["sm_70", "sm_90a", "90", ""])
def test_a_target_that_is_not_known_is_refused(name: str) -> None:
    """The list says for which chips each one is."""
    said = rf"target cuda/{name} is not known; known are cuda/sm_80 \(A100, A10, RTX 30\), cuda/sm"
    with pytest.raises(CompileError, match=said):
        gpu(name)


@pytest.mark.parametrize(
    ("dtype", "format_"),
    [("float32", "q0f32"), ("float16", "q0f16"), ("bfloat16", "q0bf16"), ("odd", "q0bf16")],
)
def test_auto_keeps_the_checkpoints_precision(dtype: str, format_: str) -> None:
    """As on a CPU."""
    assert quantization_of("auto", dtype) == format_


@pytest.mark.parametrize("name", ["q4f16_1", "w8a8", "q9"])
def test_a_format_without_kernels_is_refused(name: str) -> None:
    """Whether a CPU has it or nobody."""
    with pytest.raises(CompileError, match=f"quantization '{name}' is not there on CUDA; there ar"):
        quantization_of(name, "float32")


def test_keys_and_values_have_the_precision_of_the_weights() -> None:
    check_kv_dtype("auto", "q0f16")
    check_kv_dtype("bf16", "q0bf16")
    with pytest.raises(CompileError, match="must be auto or f16, that of q0f16; found 'int8'"):
        check_kv_dtype("int8", "q0f16")
