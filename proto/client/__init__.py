"""The typed client of raylax.v1: `raylax.Client` and `raylax.AsyncClient`.

Stands on `pb`, `timeline` and `errors`. Start at `sync.py`.
"""
