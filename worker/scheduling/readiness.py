"""Readiness: what a waiting sequence needs, besides room, before a step may compute it.

Who asks for a sequence says what it needs, and later that each need is met. Until the last one is,
the sequence waits like any other: it has its place in the order and its deadline, `load` counts it,
and it can be aborted. But the decision passes it over:

- it holds no pages and no seat, it keeps nobody waiting, and its tenant is not charged for it;
- once ready it has the place of its arrival, as if it had always been: who came later does not keep
  it waiting for longer;
- among those who are ready nothing changes: who does not fit is passed by others for some steps,
  and then keeps them waiting.

A need is met whatever came of it: what could not be had is done without. Nothing else ends the
wait but the end of the request, so whoever meets needs bounds the time that this takes. Routers
take an engine that has requests and makes no steps for stuck after three seconds.
"""

from enum import Enum


class Need(Enum):
    """What a sequence may need."""

    PAGES = "pages"
    """KV pages that are on their way from another worker."""
    GRAMMAR = "grammar"
    """What follows its answer in its grammar, see `raylax.proto.grammar.matcher`."""


Needs = frozenset[Need]
READY: Needs = frozenset()
"""Nothing is needed."""
