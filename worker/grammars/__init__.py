"""What grammars take beside the steps of an engine: their matchers, and masks for the next draws.

Stands on `scheduling`; has threads of its own. Start at `making.py`.
"""
