"""What is compiled for a CPU is compiled anew when a room has changed that it may come from."""

from raylax.kernels.cpu.emitted_from import ABOVE, emitter_hash
from raylax.kernels.store import source_hash
from tests.support.imports import orders_in
from tests.support.paths import ROOT


def test_only_rooms_that_it_cannot_import_are_left_out() -> None:
    """As the order of rooms has it, to which imports are held."""
    order = orders_in((ROOT / "ARCHITECTURE.md").read_text())["kernels"]
    above = [room for storey in order.storeys[: order.storey_of("cpu")] for room in storey]

    assert {*above} == ABOVE
    assert emitter_hash() != source_hash()
