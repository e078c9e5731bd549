"""A request in the engine: its tokens, its pages, and how far it has come."""

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from raylax.proto.pages import PAGE_SIZE, chain
from raylax.proto.vocabulary import Cuts, Request, TokenLogprobs
from raylax.worker.config import MOST_DRAFTED
from raylax.worker.kv.sight import NONE
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.constraints import Constraints
from raylax.worker.sampling.pooling import Pooled
from raylax.worker.sampling.rules import models_rule_of, rule_of
from raylax.worker.scheduling.readiness import READY, Need, Needs
from raylax.worker.speculation.proposals import Proposal


class Phase(Enum):
    """What the next step computes of a sequence."""

    PREFILL = "prefill"
    """Tokens that were there before it was admitted, as many as fit."""
    DECODE = "decode"
    """What follows the last draw, for the next draw."""


PREFILL, DECODE = Phase.PREFILL, Phase.DECODE
"""For those who look at every sequence in every step: to find them in their class takes longer."""


def ints(values: Iterable[int] = ()) -> "array[int]":
    """Numbers of 32 bits, which numpy takes over without looking at each."""
    return array("i", values)


@dataclass(slots=True, eq=False)
class Sequence:
    """What an engine knows of a request. Once it was added to the batch, the engine thread's
    alone."""

    request: Request
    deadline: float | None = None
    """On the engine's clock; None: it may take as long as it likes."""
    longest: int = sys.maxsize
    """Tokens that it may have at most, prompt and answer."""
    needs: Needs = READY
    """What it waits for, before it may be computed; see `readiness.py`."""
    pooled: Pooled | None = None
    """What its vector is made of; None: of its last row, if it wants one."""
    max_tokens: int = field(init=False)
    """Tokens that its answer may have, `history` included."""
    tokens: "array[int]" = field(default_factory=ints)
    """Prompt, history and what was generated."""
    adjustment: Adjustment = field(init=False)
    """What its draws keep of its tokens."""
    constraints: Constraints = field(init=False)
    """Which tokens are never drawn for it."""
    own_rule: bytes = field(init=False)
    """How its tokens are drawn: see `raylax.worker.sampling.rules`."""
    rule: bytes | None = field(init=False)
    """The same, if a model that draws by itself can."""
    pages: "array[int]" = field(default_factory=ints)
    """Where its tokens lie. In the place of those `behind` stands another one that it holds."""
    behind: range = NONE
    """Which of them it has given back, or never had: nothing sees them any more."""
    computed: int = 0
    """Tokens whose keys and values lie in the pages."""
    names: list[bytes] = field(default_factory=list)
    """Of the full pages of `tokens`, as far as they were needed."""
    cached_tokens: int | None = None
    """Prompt tokens found in the prefix cache when it was first admitted; None before."""
    announced: bool = False
    """Its first delta is out, and has told `cached_tokens`."""
    gave_way: int = 0
    """How many tokens it had computed when it gave way to another tenant, until it is admitted
    again."""
    passed: int = 0
    """Steps in which others were admitted before it, since it did not fit."""
    preempted: int = 0
    """How often it gave its seat and pages back, to wait again."""
    suspect: bool = False
    """It was part of a step that failed, and of none that succeeded since."""
    scored: list[TokenLogprobs] = field(default_factory=list)
    """Log-probabilities of its prompt, as far as they are known and were not told."""
    proposal: Proposal | None = None
    """What may follow its tokens; None while nobody proposes any."""
    prefill_steps: int = 0
    """That computed some of its tokens before the first one was drawn."""
    cuts: Cuts | None = None
    """Of those, if there were any."""

    def __post_init__(self) -> None:
        self.max_tokens = min(self.request.max_tokens, self.longest - len(self.request.prompt))
        self.adjustment = Adjustment(self.request.sampling, len(self.request.prompt))
        self.constraints = Constraints(self.request)
        if self.request.sampling.grammar:
            self.needs |= {Need.GRAMMAR}
        self.own_rule = rule_of(self.request)
        self.rule = models_rule_of(self.request, self.own_rule)
        scored = self.request.score and not self.request.history
        self.tokens.extend(self.request.prompt[:1] if scored else self.request.prompt)
        self.tokens.extend(self.request.history)

    @property
    def ready(self) -> bool:
        """It lacks nothing but room."""
        return not self.needs

    @property
    def begun(self) -> bool:
        """It has been admitted, be it that it waits again."""
        return self.cached_tokens is not None

    @property
    def pending(self) -> int:
        """Tokens to compute."""
        return len(self.tokens) - self.computed

    @property
    def held(self) -> "array[int]":
        """The pages that it refers to."""
        behind = self.behind
        return self.pages[: behind.start] + self.pages[behind.stop :] if behind else self.pages

    @property
    def phase(self) -> Phase:
        """A prefill of which one token is left is as cheap as a decode, and counts as one."""
        return DECODE if len(self.tokens) - self.computed == 1 else PREFILL

    @property
    def drafts_may_follow(self) -> bool:
        """It decodes next, and wants tokens."""
        return self.phase is DECODE and not self.request.embed and self.unread <= 0

    @property
    def unread(self) -> int:
        """How many tokens of a prompt that is scored are not among its tokens yet: they follow
        like drafts that are right, whatever would be drawn, so that each has a row."""
        return len(self.request.prompt) - len(self.tokens)

    @property
    def is_complete(self) -> bool:
        """Its grammar lets nothing follow."""
        matcher = self.constraints.matcher
        return matcher is not None and matcher.complete

    @property
    def draft(self) -> list[int]:
        """Tokens that may follow."""
        if self.unread > 0:
            return list(self.request.prompt[len(self.tokens) :][:MOST_DRAFTED])
        return [] if self.proposal is None else self.proposal.draft

    @property
    def likely(self) -> float:
        """How likely each of those is right, if those before it are."""
        if self.unread > 0:
            return 1.0
        return 0.0 if self.proposal is None else self.proposal.likely

    def rows_wanted(self, count: int) -> int:
        """How many of its next `count` tokens, the last ones, want a row of the step's output: one
        if a token is drawn, or a vector taken, after them, and one for each token of its draft."""
        return max(0, count - (len(self.tokens) - self.computed) + 1)

    @property
    def generated(self) -> int:
        """Length of the answer, history included: the position that keys the next draw."""
        return len(self.tokens) - len(self.request.prompt)

    def was_cut(self, target_s: float, beyond: bool) -> None:
        """A step had no more of its prompt, for those who decoded: see `Cuts`."""
        before = self.cuts or Cuts(0, 0, 0.0, 0)
        self.cuts = Cuts(self.prefill_steps, before.cut + 1, target_s, before.beyond + beyond)

    def name_pages(self, tokens: int) -> list[bytes]:
        """Names of the pages that are full with the first `tokens` tokens."""
        for page in range(len(self.names), tokens // PAGE_SIZE):
            parent = self.names[-1] if self.names else self.request.page_root
            start = page * PAGE_SIZE
            self.names.append(chain(parent, self.tokens[start : start + PAGE_SIZE]))
        return self.names[: tokens // PAGE_SIZE]
