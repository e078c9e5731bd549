"""What `speculation.py` measures: an engine with drafts and one without, what they are asked, and
llama.cpp's own programs for it."""
