"""Which blocks a gateway is told of: those that some worker has and whose tokens are known."""

from collections.abc import Iterable, Sequence

from raylax.proto.pages import PAGE_SIZE
from raylax.router.grpc.vllm_engine.kv_blocks import AnnouncedBlocks, Block

A, B, C, OTHER = 1, 2, 3, 9
TOKENS = tuple(range(3 * PAGE_SIZE))
PAGES = [TOKENS[at : at + PAGE_SIZE] for at in range(0, len(TOKENS), PAGE_SIZE)]
CHAIN = [Block(A, None, PAGES[0]), Block(B, A, PAGES[1]), Block(C, B, PAGES[2])]


class Cluster:
    """What workers have, and what is told of it."""

    def __init__(self, most: int = 100) -> None:
        self.there: set[int] = set()
        self.blocks = AnnouncedBlocks(self.there.__contains__, most)

    def ask(self, names: Sequence[int] = (A, B, C)) -> tuple[list[int], list[int]]:
        stored, removed = self.blocks.routed(TOKENS, names)
        return [block.name for block in stored], removed

    def come(self, *names: int) -> tuple[list[int], list[int]]:
        self.there.update(names)
        stored, removed = self.blocks.reported(names, ())
        return [block.name for block in stored], removed

    def go(self, *names: int) -> tuple[list[int], list[int]]:
        self.there.difference_update(names)
        stored, removed = self.blocks.reported((), names)
        return [block.name for block in stored], removed

    @property
    def told(self) -> list[int]:
        return [block.name for block in self.blocks]


def test_a_block_is_told_of_when_a_worker_has_what_was_asked_for() -> None:
    """Its tokens and what precedes it come from the request; a page of nobody's is not told of."""
    cluster = Cluster()

    assert cluster.ask() == ([], [])
    assert cluster.come(A, B, OTHER) == ([A, B], [])
    assert cluster.come(C) == ([C], [])
    assert list(cluster.blocks) == CHAIN


def test_what_workers_had_before_is_told_of_when_it_is_asked_for() -> None:
    """Once."""
    cluster = Cluster()

    assert cluster.come(A, B) == ([], [])
    assert cluster.ask() == ([A, B], [])
    assert cluster.ask() == ([], [])


def test_a_block_goes_with_all_that_follow_it() -> None:
    """They would not be found without it. It comes back, and so do they when they are asked for."""
    cluster = Cluster()
    cluster.ask()
    cluster.come(A, B, C)
    gone = cluster.go(B)

    assert (gone, cluster.told) == (([], [B, C]), [A])
    assert cluster.come(B) == ([B], [])
    assert cluster.ask() == ([C], [])
    assert cluster.told == [A, B, C]


def test_one_that_another_worker_has_stays() -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.come(A)

    assert cluster.blocks.reported((), [A]) == ([], [])


def test_a_lost_worker_takes_its_blocks_along() -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.come(A, B, C)
    cluster.there.difference_update([B, C])

    assert cluster.blocks.rechecked() == ([], [B, C])
    assert cluster.told == [A]


def test_parents_come_before_children_whatever_came_and_went() -> None:
    cluster = Cluster()
    cluster.ask()
    cluster.come(A, B, C)
    cluster.go(A)
    cluster.come(A)
    cluster.ask()

    assert before_their_parents(cluster.blocks) == []
    assert cluster.told == [A, B, C]


def before_their_parents(blocks: Iterable[Block]) -> list[Block]:
    seen: set[int | None] = {None}
    wrong = []
    for block in blocks:
        wrong += [block] if block.parent not in seen else []
        seen.add(block.name)
    return wrong


def test_what_is_asked_for_least_lately_is_forgotten() -> None:
    """The end of it first: the beginning is what others may share."""
    cluster = Cluster(most=3)
    cluster.ask()
    cluster.come(A, B, C)
    cluster.there.add(OTHER)

    assert cluster.ask([OTHER]) == ([OTHER], [C])
    assert cluster.told == [A, B, OTHER]
