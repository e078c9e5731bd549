"""Packages that MLC-LLM has converted: `mlc-chat-config.json`, and pieces of parameters that
`tensor-cache.json` (formerly `ndarray-cache.json`) lists. Start at `checkpoint.py`.

What a conversation's template may say is in `conversation.py`, the templates that have names in
`presets.py`, and how either becomes one in Jinja in `jinja.py`.
"""
