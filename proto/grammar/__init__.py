"""What an answer must be: from what a client asks for to the tokens that may come next.

Stands on `text` for a model's tokenizer, and on llguidance. Start at `constraint.py` for what can
be asked, at `matcher.py` for what an engine does with it.
"""
