"""The KV cache: the pool of pages, shared by what they hold, and conserved (law 3).

Imports nothing of the other rooms. Start at `page_pool.py`; what is kept of those who give way
lies in host memory (`swap.py`).
"""
