"""From a row of logits to a token: keyed by seed, choice and position, and by nothing else (law 1).

Plain functions that know no sequence and no batch. Start at `sampler.py`.
"""
