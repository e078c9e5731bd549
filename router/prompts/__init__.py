"""Prompts are made aside, in processes of their own that can be ended; calls are made of them.

A model's chat template is a program, and its tokenizer has patterns that may look for ever; both
run over what any client sends. Here they run with a deadline and a limit of memory, fair among
tenants. Start at `call_maker.py` and `pool.py`; `fork_server.py` and `process.py` are what runs in
the other processes. Our own work on what is large has threads (`parse_pool.py`).
"""
