"""Batches are answered, line by line, in the gaps that other calls leave.

Whoever holds the lock of a batch runs it, and goes on behind what is there. Stands on `calls` and
`files`; knows no HTTP. Start at `runner.py`, then `run.py`.
"""
