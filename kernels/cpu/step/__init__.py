"""The decoder step, emitted as one function: its blocks in the order of a layer. Start at
`step.py`.
"""
