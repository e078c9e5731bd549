"""`raylax join`: this machine becomes one of a cluster's, until Ctrl-C.

As with `raylax serve` there are two processes: one at the terminal, which runs neither Ray nor the
compiler and ends everything, and one that holds Ray's part. Start at `join.py`.
"""
