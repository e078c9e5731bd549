"""Which blocks of prompts the workers have, with their tokens: plain state.

Workers name their pages and no more. Whose tokens they are is known of requests that this router
has sent, since it was asked to look. A block is told of while a worker has it and its parent is
told of: without that nobody would find it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from raylax.proto.pages import PAGE_SIZE

MOST_BLOCKS = 1 << 16
"""Of 16 tokens each; the tokens of those that were asked for least lately are forgotten."""


class Block(NamedTuple):
    """A page's tokens, after those of `parent`; None: they are the first."""

    name: int
    parent: int | None
    tokens: tuple[int, ...]


class BlockChanges(NamedTuple):
    """What subscribers are to be told, in order: of blocks that there are now, of blocks gone."""

    stored: list[Block]
    """Each after its parent."""
    removed: list[int]

    def __bool__(self) -> bool:
        return bool(self.stored or self.removed)


class AnnouncedBlocks:
    """The blocks that are told of: iterate over them, parents come first."""

    def __init__(self, held: Callable[[int], bool], most: int = MOST_BLOCKS) -> None:
        """`held`: whether a worker has the page of that name."""
        self._held, self._most = held, most
        self._known: OrderedDict[int, Block] = OrderedDict()
        self._told: dict[int, set[int]] = {}  # with those of their children that are told, too

    def __len__(self) -> int:
        return len(self._told)

    def __iter__(self) -> Iterator[Block]:
        return (self._known[name] for name in self._told)

    def routed(self, tokens: Sequence[int], names: Sequence[int]) -> BlockChanges:
        """A request brings these; `names` are those of its first full pages."""
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
        """A worker's page events."""
        return BlockChanges(self._store(added), self._look(removed))

    def looked_over(self) -> BlockChanges:
        """After a worker is gone, or has told everything anew."""
        return BlockChanges([], self._look(list(self._told)))

    def _store(self, names: Iterable[int]) -> list[Block]:
        stored = []
        for name in names:
            block = self._known.get(name)
            if block is None or name in self._told or not self._held(name):
                continue
            if block.parent is None or block.parent in self._told:
                self._told[name] = set()
                if block.parent is not None:
                    self._told[block.parent].add(name)
                stored.append(block)
        return stored

    def _look(self, names: Iterable[int]) -> list[int]:
        removed: list[int] = []
        for name in names:
            if not self._held(name):
                self._remove(name, removed)
        return removed

    def _remove(self, name: int, removed: list[int]) -> None:
        """With all that follow it, if it is told of."""
        if name not in self._told:
            return
        if (parent := self._known[name].parent) is not None:
            self._told[parent].discard(name)
        left = [name]
        while left:
            removed.append(left[-1])
            left += self._told.pop(left.pop())
