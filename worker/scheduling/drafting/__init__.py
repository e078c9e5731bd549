"""Who proposes tokens for the model to verify: the text itself, or models that run between two
steps on the engine thread of rank 0. What goes wrong with those ends speculation, not the engine.

What is proposed travels in the plan. Start at `base.py`.
"""
