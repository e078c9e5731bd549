"""The engine as a Python class: MLCEngine, AsyncMLCEngine, and the calls that they offer.

Stands on `engine`; `serving` is its neighbour, and neither imports the other. Start at
`mlc_engine.py`.
"""
