"""The KV pages of a simulated engine: what is held, what is cached, and who must make room.

Counted in tokens. Blocks of prompts have names; they are shared while somebody holds them and
stay cached, the longest unused first to go, until the room is needed.
"""

from collections import OrderedDict
from collections.abc import Sequence

from raylax.cluster.simulate.trace import BLOCK


class Pages:
    """`held` and `cached` together never exceed `total` after `evict`."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0
        self._users: dict[int, int] = {}  # of a named block, while it is held
        self._unused: OrderedDict[int, None] = OrderedDict()
        self.added: list[int] = []
        self.removed: list[int] = []

    @property
    def cached(self) -> int:
        """Tokens in named blocks that nobody uses."""
        return len(self._unused) * BLOCK

    @property
    def short(self) -> int:
        """Tokens too many, when nothing cached is left to give up."""
        return self.held - self.total

    def find(self, names: Sequence[int]) -> int:
        """How many of these blocks, from the first on, are here."""
        users, unused = self._users, self._unused
        for count, name in enumerate(names):
            if name not in users and name not in unused:
                return count
        return len(names)

    def room_for(self, found: Sequence[int], tokens: int) -> bool:
        """Whether so many tokens more fit in beside these blocks, which are here."""
        revived = sum(BLOCK for name in found if name in self._unused)
        return self.held + revived + tokens <= self.total

    def acquire(self, names: Sequence[int]) -> None:
        """Blocks that are here have one user more."""
        for name in names:
            if name in self._unused:
                del self._unused[name]
                self.held += BLOCK
                self._users[name] = 1
            else:
                self._users[name] += 1

    def index(self, name: int) -> bool:
        """A block that its holder has computed can be found from now on; False if it could
        before, and this is a second copy, which stays its holder's own."""
        if name in self._users or name in self._unused:
            return False
        self._users[name] = 1
        self.added.append(name)
        return True

    def release(self, names: Sequence[int]) -> None:
        """A prompt's blocks have one user less. Of those without any the last will go first: the
        beginnings are what others share."""
        for name in reversed(names):
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
                self._unused[name] = None
                self.held -= BLOCK

    def evict(self) -> None:
        """Give up cached blocks, the longest unused first, until nothing is too much."""
        while self._unused and self.held + self.cached > self.total:
            name, _ = self._unused.popitem(last=False)
            self.removed.append(name)
