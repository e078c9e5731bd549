"""How many workers there should be: a plain function of what workers and routers say, with its
reasons. Start at `rule.py`, then `snapshot.py`; `receipt.py` is what comes of it.

It knows no Ray, no clock and no chance (law 5). Formulas and constants are those of a simulation
study of seventeen rules on ten traces.
"""
