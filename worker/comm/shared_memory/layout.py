"""Where everything lies in the memory that the ranks of a group share.

    head       a line: 0, or 1 + the rank whose reason ended the group
    ranks      a line each: meetings it has come to; bytes brought to the even, the odd one
    boxes      two lines for each pair of ranks: chunks put there (with bytes, as above); taken
    reasons    for each rank: bytes, and why it ended the group
    data       [even, odd][rank][capacity]
    mail       [from][to][even, odd][capacity]

A line is written by one rank only (but the head, by whoever ends the group), so that no write needs
to be atomic with another. Words are int64; memory starts as zeros, aligned to a line.

A rank brings its data, then says in its line that it has come; the others read that line, then the
data. x86 makes stores visible in their order (glibc ends its streaming copies with a fence).
aarch64 does not promise that, and Python has no fence: between threads of one process the GIL
orders them all the same; between processes nothing does, and it was not tried.
"""

from dataclasses import dataclass

LINE = 64
WORD = 8
REASON = 512


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in bytes of all that lies in a segment."""

    world: int
    capacity: int
    """Bytes of a chunk, a multiple of a line; larger messages go in several."""

    def rank_line(self, rank: int) -> int:
        return LINE * (1 + rank)

    def box_line(self, source: int, to: int) -> int:
        return LINE * (1 + self.world + 2 * (source * self.world + to))

    def reason(self, rank: int) -> int:
        return lines(self.world) * LINE + rank * REASON

    @property
    def data(self) -> int:
        return overhead(self.world)

    def row(self, half: int, rank: int) -> int:
        """What a rank brings to even (0) or odd (1) meetings."""
        return self.data + (half * self.world + rank) * self.capacity

    def slot(self, source: int, to: int, half: int) -> int:
        """What `source` sends to `to`: even and odd chunks."""
        box = source * self.world + to
        return self.data + (2 * self.world + 2 * box + half) * self.capacity

    @property
    def size(self) -> int:
        return self.data + chunks(self.world) * self.capacity


def lines(world: int) -> int:
    """How many lines the head, the ranks and the boxes take."""
    return 1 + world + 2 * world**2


def overhead(world: int) -> int:
    """Bytes before the chunks."""
    return lines(world) * LINE + world * REASON


def chunks(world: int) -> int:
    """How many chunks the data and the mail take."""
    return 2 * world + 2 * world**2


def segment_bytes(world: int, capacity: int) -> int:
    """Size of a segment whose chunks hold `capacity` bytes, rounded up to lines.

    Pages that nobody writes to, such as the mail of pairs that send nothing, take no memory.
    """
    return Layout(world, -(-capacity // LINE) * LINE).size


def layout_in(size: int, world: int) -> Layout:
    """The largest chunks that fit; for `segment_bytes(world, capacity)` that `capacity`."""
    capacity = (size - overhead(world)) // chunks(world) // LINE * LINE
    if capacity < LINE:
        least = segment_bytes(world, LINE)
        raise ValueError(f"{world} ranks need a segment of at least {least} bytes, found {size}")
    return Layout(world, capacity)
