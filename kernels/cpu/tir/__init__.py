"""Words for emitting TIR: loops, dot products, the work queue. They know nothing of models. Start
at `emit.py`.
"""
