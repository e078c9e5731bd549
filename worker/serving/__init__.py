"""The engine as a worker of a cluster: a session for each router, and pages for other workers.

Stands on `engine`; `api` is its neighbour, and neither imports the other. Ray is in `replica.py`
and `shard_actors.py` alone. Start at `worker.py`, then `step_server.py`."""
