"""Which blocks of prompts the workers have, with their tokens: plain state.

Workers name their pages and say no more of them. Which tokens are in a page is known of requests
that this router has sent, from the first subscription on. A block is announced while a worker has
it and its parent is announced: without that nobody would find it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from raylax.proto.pages import PAGE_SIZE

MOST_BLOCKS = 1 << 16
"""How many blocks, of 16 tokens each, are known; those that were not asked for the longest time are
forgotten."""


class Block(NamedTuple):
    """A page and its tokens, which follow those of the page `parent`; None: they are a prompt's
    first."""

    name: int
    parent: int | None
    tokens: tuple[int, ...]


class BlockChanges(NamedTuple):
    """What subscribers are to be told, in this order."""

    stored: list[Block]
    """Blocks that there are now, each after its parent."""
    removed: list[int]
    """Names of blocks that are gone."""

    def __bool__(self) -> bool:
        return bool(self.stored or self.removed)


class AnnouncedBlocks:
    """The blocks that subscribers know of. Iterating over them gives parents first."""

    def __init__(self, held: Callable[[int], bool], most: int = MOST_BLOCKS) -> None:
        """`held`: whether a worker has the page of that name."""
        self._held, self._most = held, most
        self._known: OrderedDict[int, Block] = OrderedDict()
        self._announced: dict[int, set[int]] = {}  # and which of their children are announced, too

    def __len__(self) -> int:
        return len(self._announced)

    def __iter__(self) -> Iterator[Block]:
        return (self._known[name] for name in self._announced)

    def routed(self, tokens: Sequence[int], names: Sequence[int]) -> BlockChanges:
        """What changes by a request with these tokens; `names` are those of its first full
        pages."""
        for at, name in enumerate(names):
            if name not in self._known:
                page = tuple(tokens[PAGE_SIZE * at : PAGE_SIZE * (at + 1)])
                self._known[name] = Block(name, names[at - 1] if at else None, page)
        for name in reversed(names):  # the last ones are forgotten first
            self._known.move_to_end(name)
        changes = BlockChanges(self._store(names), [])
        while len(self._known) > self._most:
            name = next(iter(self._known))
            self._remove(name, changes.removed)
            del self._known[name]
        return changes

    def reported(self, added: Iterable[int], removed: Iterable[int]) -> BlockChanges:
        """What changes by a worker's page events."""
        return BlockChanges(self._store(added), self._look(removed))

    def rechecked(self) -> BlockChanges:
        """What changes when a worker is gone, or has told everything anew."""
        return BlockChanges([], self._look(list(self._announced)))

    def _store(self, names: Iterable[int]) -> list[Block]:
        stored = []
        for name in names:
            block = self._known.get(name)
            if block is None or name in self._announced or not self._held(name):
                continue
            if block.parent is None or block.parent in self._announced:
                self._announced[name] = set()
                if block.parent is not None:
                    self._announced[block.parent].add(name)
                stored.append(block)
        return stored

    def _look(self, names: Iterable[int]) -> list[int]:
        removed: list[int] = []
        for name in names:
            if not self._held(name):
                self._remove(name, removed)
        return removed

    def _remove(self, name: int, removed: list[int]) -> None:
        """Removes a block with all that follow it, if it is announced."""
        if name not in self._announced:
            return
        if (parent := self._known[name].parent) is not None:
            self._announced[parent].discard(name)
        left = [name]
        while left:
            removed.append(left[-1])
            left += self._announced.pop(left.pop())
