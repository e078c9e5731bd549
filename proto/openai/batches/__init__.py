"""OpenAI's files and batches: what is asked, and what is told of them."""
