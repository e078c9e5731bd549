"""Whose pages are kept after their end: of so many sequences, those that ended last."""

from collections import Counter, OrderedDict
from collections.abc import Sequence


class EndedSequences:
    """The last sequences that gave their pages back, with these pages. One that comes back is the
    last again when it has ended again."""

    def __init__(self, most: int) -> None:
        """`most`: how many sequences are kept."""
        self._most = most
        self._pages: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._kept_by: Counter[int] = Counter()  # how many of the sequences have a page

    def __len__(self) -> int:
        return len(self._pages)

    def keeps(self, page: int) -> bool:
        """Whether one of those sequences has it."""
        return self._kept_by[page] > 0

    def end(self, sequence: str, pages: Sequence[int]) -> list[int]:
        """A sequence has given these pages back. Returns the pages of those that are kept no more,
        but for what others have that are."""
        gone = list(self._pages.pop(sequence, ()))
        self._pages[sequence] = tuple(pages)
        self._kept_by.update(pages)
        while len(self._pages) > self._most:
            gone += self._pages.popitem(last=False)[1]
        self._kept_by.subtract(gone)
        left = [page for page in dict.fromkeys(gone) if self._kept_by[page] <= 0]
        for page in left:
            del self._kept_by[page]
        return left
