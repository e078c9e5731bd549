"""Text to tokens and back: tokenizer, chat template, streaming detokeniser, stop strings.

Imports nothing of ours but errors. Start at `tokenizer.py`.
"""
