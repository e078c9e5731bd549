"""Pages of a device come to the host and go back, in the layout that all ranks agree on."""

from collections.abc import Iterator

import numpy as np
import pytest

from raylax.kernels.cuda.device.memory import read
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.pages import PageLayout
from raylax.kernels.cuda.step.device_pages import DevicePages
from tests.support.cuda_fake.child import FakeMachine, on_fake_device

PLAIN, BYTES = PageLayout(3, 2, 16, "plain"), PageLayout(3, 2, 16, "int8")


@pytest.fixture(scope="module")
def fake_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One GPU of a GiB."""
    yield from FakeMachine.without_code(tmp_path_factory.mktemp("driver"))


def content(layout: PageLayout, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, layout.page_bytes, np.uint8).tobytes()


@on_fake_device
def test_a_page_comes_back_as_it_was_and_no_other_changes() -> None:
    for layout in (PLAIN, BYTES):
        pages = DevicePages(layout, 5, Stream(0))
        for page in range(5):
            pages.write(page, content(layout, page))

        pages.write(3, content(layout, 30))

        found = [pages.read(page) for page in range(5)]
        assert found == [content(layout, seed) for seed in (0, 1, 2, 30, 4)]


@on_fake_device
def test_a_heads_scales_follow_its_numbers() -> None:
    """So ranks find their heads in it, whatever the kernels keep apart."""
    stream = Stream(0)
    pages = DevicePages(BYTES, 5, stream)
    pages.write(4, content(BYTES, 7))

    heads = np.frombuffer(content(BYTES, 7), np.uint8).reshape(3, 2, 2, 16 * 16 + 16 * 4)
    for layer, (numbers, scales) in enumerate(pages.addresses):
        there = read(numbers + 4 * 2 * 2 * 256, (2, 2, 256), np.uint8, stream.address)
        assert np.array_equal(there, heads[layer, :, :, :256])
        there = read(scales + 4 * 2 * 2 * 64, (2, 2, 64), np.uint8, stream.address)
        assert np.array_equal(there, heads[layer, :, :, 256:])


@on_fake_device
def test_what_is_no_page_is_refused() -> None:
    pages = DevicePages(PLAIN, 1, Stream(0))
    with pytest.raises(ValueError, match="a page of this model has 6144 bytes, found 5"):
        pages.write(0, b"short")
