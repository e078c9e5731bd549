"""Anthropic's Messages API: its requests in terms of ours, its answers and errors."""
