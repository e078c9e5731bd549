"""Words for emitting TIR: loops, dot products, the work queue. Know nothing of models. Start at
`emit.py`.
"""
