"""Draws of a batch as one compiled function: what is drawn says `raylax.kernels.draws`.

`sampler.py` is what it is given and what comes of it; `emit.py` what is done for a row, of
`selection.py` (top-k), `race.py` (noise, top-p, min-p), `typical.py` and `rows.py`; `numbers.py`
runs the definition's own functions over vectors; `artefact.py` finds it in the store, or makes it.
"""
