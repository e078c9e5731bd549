"""The memory of a step holds whatever its kernels write there."""

import pytest

from raylax.kernels.cuda.cubins.chips import CHIPS, Chip
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.formats import NAMES, quantization_named
from raylax.kernels.cuda.step.capacity import StepCapacity
from raylax.kernels.cuda.step.values import F32
from raylax.kernels.cuda.variants.products import Matrix, choose, parts
from raylax.kernels.cuda.variants.segments import segments_of
from raylax.kernels.options import ModelOptions
from tests.support.cuda_models import MODELS

LLAMA = MODELS[0][0]
OPTIONS = ModelOptions(device="cuda", max_step_tokens=96)


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_every_product_have_room(name: str, chip: Chip) -> None:
    """Where segments have programs of their own, and no more room than the most of it needs."""
    q = quantization_named(name, "bfloat16")
    room = StepCapacity(DeviceForm(LLAMA, chip, q, "plain"), OPTIONS).values["parts"]

    wanted = 0
    for features, depth in [(6144, 4096), (4096, 4096), (4096, 14336)]:  # qkv, o, down
        matrix = Matrix(features, depth, segments_of(features, depth, chip.number))
        for tokens in range(1, OPTIONS.max_step_tokens + 1):
            variant = choose(chip.number, f"linear_{q.layers.name}", tokens, matrix)
            wanted = max(wanted, parts(variant, matrix) * tokens * features * F32)

    assert room == wanted
