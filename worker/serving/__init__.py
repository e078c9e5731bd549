"""The engine as a worker of a cluster: who may come in, a session for each router, pages for other
workers.

Stands on `engine`; Ray is in `replica.py` alone. Start at `worker.py`, then `step_server.py`.
"""
