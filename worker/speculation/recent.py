"""What a tenant's last requests were answered, to look up what the next ones may be: forms, phrases
and code come again, in other answers than the one that they were first seen in."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from raylax.worker.speculation.ngrams import LEAST, NGrams

TEXTS = 4
"""Of a tenant that are kept, prompts and answers, the last ones: about 100 bytes a token."""
TENANTS = 16
"""Whose texts are kept."""


class Text(NamedTuple):
    """Of one sequence, which may go on growing."""

    ngrams: NGrams
    tokens: Sequence[int]


@dataclass(slots=True)
class Match:
    """Where a sequence's text goes on as another one did."""

    tokens: Sequence[int]
    at: int
    """What may come next there."""
    length: int = LEAST
    """How many tokens before that are the same."""
    told: int = 0
    """Tokens of the sequence when that was so."""

    def follow(self, tokens: Sequence[int]) -> bool:
        """Whether it holds for what has been said since."""
        new = tokens[self.told :]
        same = list(new) == list(self.tokens[self.at : self.at + len(new)])
        self.at, self.length, self.told = self.at + len(new), self.length + len(new), len(tokens)
        return same and self.at < len(self.tokens)


@dataclass(slots=True)
class RecentTexts:
    """Of all tenants of an engine. No tenant's texts are looked up for another one."""

    _texts: OrderedDict[str, deque[Text]] = field(default_factory=OrderedDict)

    def remember(self, tenant: str, text: Text) -> None:
        """A tenant's newest, in the place of the oldest that is kept."""
        kept = self._texts.setdefault(tenant, deque(maxlen=TEXTS))
        kept.append(text)
        self._texts.move_to_end(tenant)
        if len(self._texts) > TENANTS:
            self._texts.popitem(last=False)

    def find(self, tenant: str, own: NGrams, told: int) -> Match | None:
        """Where a tenant's newest other text has the last tokens of one of `told` tokens."""
        for ngrams, tokens in reversed(self._texts.get(tenant, ())):
            at = None if ngrams is own else ngrams.behind(own)
            if at is not None and at < len(tokens):
                return Match(tokens, at, told=told)
        return None
