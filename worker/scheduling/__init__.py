"""What the next step computes: the queue, the batch, the decision and the plan (laws 4 and 5).

Stands on `kv` and `sampling`; no Ray, no socket, no thread. Start at `decision/scheduler.py`, then
`roster.py` and `batch.py`.
"""
