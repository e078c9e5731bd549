"""A day of numbers of everything in the cluster, in bounded bytes, and what can be asked of it.

Plain state with the clock as an argument; knows no reports' way here. Start at `series.py`.
"""
