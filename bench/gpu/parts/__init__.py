"""What the check does, a file for each part: those that say what is right, then those that measure.

Each has `run(part, machine)`. Which there are, in which order and for how long, says `../schedule.py`.
"""
