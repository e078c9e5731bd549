"""OpenAI's Responses API: its bodies in terms of chat completions, and its answers.

Start at `request.py`.
"""
