"""Packages that MLC-LLM has converted: `mlc-chat-config.json`, and pieces of parameters that
`tensor-cache.json` (formerly `ndarray-cache.json`) lists. Start at `checkpoint.py`.
"""
