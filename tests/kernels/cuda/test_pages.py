"""What a page takes, and what its bytes stand for."""

import numpy as np
import pytest

from raylax.kernels.cuda.pages import KV, PageLayout, decoded


@pytest.mark.parametrize(
    "kv, codes, scales", [("plain", 65536, 0), ("int8", 32768, 1024), ("fp8", 32768, 1024)]
)
def test_bytes_of_a_page(kv: KV, codes: int, scales: int) -> None:
    layout = PageLayout(layers=32, kv_heads=8, dim=128, kv=kv)

    assert layout.layer_bytes == (codes, scales)
    assert layout.page_bytes == 32 * (codes + scales)
    assert layout.codes(10) == (10, 2, 8, 16, 128)
    assert layout.scales(10) == (10, 2, 8, 16)


def test_codes_of_fp8_are_e4m3() -> None:
    """By the definition: a sign, four bits of exponent with a bias of 7, three of fraction."""
    codes = np.arange(-128, 128).astype(np.int8)
    bits = codes.view(np.uint8).astype(int)
    exponent, fraction = bits >> 3 & 15, bits & 7
    size = np.where(exponent == 0, fraction * 2.0**-9, (1 + fraction / 8) * 2.0 ** (exponent - 7))
    number = bits & 127 != 127  # which is NaN

    assert np.array_equal(decoded(codes, "fp8")[number], np.where(bits >> 7, -size, size)[number])


def test_codes_of_int8_are_what_they_are() -> None:
    assert decoded(np.array([-127, 0, 127], np.int8), "int8").tolist() == [-127, 0, 127]
