"""What `structured.py` measures: an engine that is asked (`asked.py`), in which forms
(`schemas.py`, `hostile.py`), and llama.cpp beside it (`llama_cpp.py`)."""
