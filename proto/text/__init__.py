"""Text to tokens and back: a model's files, tokenizer, chat template, streamed text, stop strings.

Imports nothing of ours but `errors`. Start at `files.py`.
"""
