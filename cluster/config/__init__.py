"""What can be set, in one file and by flags, checked once.

Stands on `certificates` and `errors`, and on what router and worker are told. Start at `schema.py`.
"""
