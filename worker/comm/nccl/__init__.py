"""Ranks that have a GPU each, by NCCL. Start at `communicator.py`; `library.py` is NCCL itself."""
