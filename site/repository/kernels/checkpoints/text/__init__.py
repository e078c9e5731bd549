"""Tokenizers in whatever files, as the `tokenizer.json` that the rest of raylax reads.

    tokenizer.model ──▶ sentencepiece ──▶ pieces ──────────┐
    *.tiktoken, tokenizer.model ──▶ ranks ──▶ byte_level ──┼──▶ added ──▶ directory
    vocab.json, merges.txt ──▶ vocabulary ──▶ byte_level ──┘

A GGUF file's metadata become the same by the same builders (`gguf/tokenizer.py`). Files are
anybody's: all of them are bounded, in bytes, in tokens and in what can be made of these. Start at
`directory.py`.
"""
