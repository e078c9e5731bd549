"""How long steps take, learned from the steps themselves.

Knows what a step holds in numbers alone, and imports nothing of `scheduling`. Start at
`step_time.py`.
"""
