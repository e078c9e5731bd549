"""What the router knows of its workers, as columns that policies look at.

Imports nothing of the other rooms. Start at `table.py`, then `ledger.py`.
"""
