"""Anthropic's Messages API: its requests in terms of OpenAI's, its answers and errors.

Stands on `openai`. Start at `messages.py`.
"""
