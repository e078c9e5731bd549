"""Who proposes tokens for the model to verify, and how often they are right.

Knows tokens alone: no step, no page, no thread. How many of them a step computes is decided in
`scheduling/decision/drafts.py`; a draft is accepted as far as it is what is drawn, so that it
changes no token (law 1). Start at `ngrams.py`.
"""
