"""Merges that follow from what tokens are worth: SentencePiece and tiktoken list none."""

from collections.abc import Iterable, Sequence

from raylax.kernels.errors import CheckpointError

MOST_TOKENS = 1 << 20
"""Four times the largest vocabularies."""
MOST_WORK = 1 << 28
"""Letters that are looked at: each way to cut each token in two. The largest vocabularies need a
tenth of it."""
MOST_MERGES = 1 << 22
"""The largest vocabularies have a seventh of it."""


def check_count(count: int, where: object) -> None:
    """Raises CheckpointError for more tokens than any model has."""
    if count > MOST_TOKENS:
        raise CheckpointError(f"{where}: may have {MOST_TOKENS} tokens, found {count}")


def merges_of(
    pieces: Sequence[str], scores: Sequence[float], where: object, made: Iterable[int] | None = None
) -> list[list[str]]:
    """Pairs of pieces, the first to be merged first: whichever make the piece of the highest score,
    and of those that make it the one with the longest left part, as among neighbours the left ones
    are merged first. `made`: numbers of the pieces that text is made of, all if none are given.
    Raises CheckpointError for pieces that would take too long."""
    numbers = range(len(pieces)) if made is None else list(made)
    work = sum(len(pieces[id]) ** 2 for id in numbers)
    if work > MOST_WORK:
        raise CheckpointError(
            f"{where}: the squares of its tokens' lengths may add up to {MOST_WORK}, found {work}"
        )
    known = {pieces[id] for id in numbers}
    found: list[tuple[float, str, str]] = []
    for id in numbers:
        piece, score = pieces[id], scores[id]
        for at in range(1, len(piece)):
            left, right = piece[:at], piece[at:]
            if left in known and right in known:
                found.append((score, left, right))
        if len(found) > MOST_MERGES:
            raise CheckpointError(f"{where}: its tokens may be made in {MOST_MERGES} ways at most")
    found.sort(key=lambda one: (-one[0], -len(one[1]), -len(one[2])))
    return [[left, right] for _, left, right in found]
