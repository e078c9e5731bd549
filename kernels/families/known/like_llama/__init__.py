"""Families that are Llama by other names, or but for a trait or two."""
