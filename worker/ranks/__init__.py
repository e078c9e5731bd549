"""The processes that share one model: how they come together, run plans, and are watched.

Stands on `scheduling` for the plan and on `comm` for meetings. Start at `executor.py`, then
`startup.py` and `leader.py`.
"""
