"""What can be known of a call afterwards: its timeline, its metrics, its spans.

Stands on `policies` for what was considered; decides nothing. Start at `timeline.py`.
"""
