"""Pages in host memory: what is kept, for whom, and how many."""

from collections.abc import Sequence

from raylax.worker.kv.swap import Swap, no_swap


class Memory:
    """Pages of a device, each of which holds a text."""

    def __init__(self) -> None:
        self.pages = {number: f"page {number}".encode() for number in range(8)}

    def read(self, pages: Sequence[int]) -> list[bytes]:
        return [self.pages[page] for page in pages]

    def write(self, pages: Sequence[int], contents: Sequence[bytes]) -> None:
        self.pages |= dict(zip(pages, contents, strict=True))


def test_what_was_put_aside_comes_back_wherever_there_is_room() -> None:
    """All of it, or what is behind its first pages."""
    memory = Memory()
    swap = Swap(memory.read, memory.write, most=4, page_s=1e-3)
    swap.put_aside("a", [3, 1, 5], tokens=40)
    memory.pages = dict.fromkeys(range(8), b"another's")
    swap.put_back("a", [7, 2], 1)

    assert (swap.tokens("a"), swap.used, swap.free) == (40, 3, 1)
    assert memory.read([7, 2, 3]) == [b"page 1", b"page 5", b"another's"]


def test_what_is_dropped_leaves_room() -> None:
    """Once, however often it is."""
    memory = Memory()
    swap = Swap(memory.read, memory.write, most=4, page_s=1e-3)
    swap.put_aside("a", [3, 1], tokens=20)
    swap.put_aside("b", [2], tokens=16)
    for _ in range(2):
        swap.drop("a")

    assert (swap.tokens("a"), swap.tokens("b"), swap.free) == (0, 16, 3)


def test_without_room_nothing_is_kept() -> None:
    swap = no_swap()
    swap.drop("a")

    assert (swap.free, swap.tokens("a")) == (0, 0)
