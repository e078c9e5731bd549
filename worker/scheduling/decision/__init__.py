"""What the next step computes, and for whom: plain functions of a snapshot (law 5).

Stands on `sequence.py` for phases and on `pace/`, and on nothing else of `scheduling`. Start at
`scheduler.py`.
"""
