"""GGUF files: weights, config and tokenizer in one, as llama.cpp has them.

    header ──▶ metadata ──▶ config.json, tokenizer.json
        └────▶ tensors ──▶ blocks ──▶ f32

The format is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files are anybody's:
nothing in one is believed before it was compared with the file's size. Start at `header.py`.
"""
