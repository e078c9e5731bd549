"""What a rank's weights are on its device, where no device is needed to know it."""

from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.formats import quantization_named
from raylax.kernels.cuda.formats.shards import part_of
from raylax.kernels.cuda.step.weights.reader import segments_in
from raylax.kernels.shards import Degree
from tests.support.cuda_models import spec

LLAMA = spec(4096, 32, 8, 128)
SHAPES = {"w_qkv": (6144, 4096), "w_o": (4096, 4096), "w_down": (4096, 16384)}


def segments(name: str, ranks: int) -> int:
    degree = Degree(ranks)
    form = DeviceForm(LLAMA, CHIPS[90], quantization_named("q0bf16", "bfloat16"), "plain", degree)
    part = part_of(name, LLAMA, degree, degree.place(LLAMA, ranks - 1))
    return segments_in(form, part, *part.shape(*SHAPES[name]))


def test_a_sum_that_ranks_share_has_a_part_of_each() -> None:
    """Whatever the batch: segments would be added by a wide tile, and by a narrow one's reader
    together with the other ranks'. What is not shared is cut as ever."""
    assert {name: segments(name, 1) for name in SHAPES} == {"w_qkv": 4, "w_o": 4, "w_down": 4}
    assert {name: segments(name, 2) for name in SHAPES} == {"w_qkv": 4, "w_o": 1, "w_down": 1}
