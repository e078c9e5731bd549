"""How requests end while workers are lost."""

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ends:
    """Ends by what the client was told. Any thread may note one."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What must not be, in words."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, end: str, wrong: str = "") -> None:
        with self.lock:
            self.counts[end] += 1
            if wrong:
                self.wrong.append(wrong)
