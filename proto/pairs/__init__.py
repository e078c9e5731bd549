"""How well texts fit each other, a query and a document: the calls of /v1/score and /v1/rerank.

A model of embeddings is asked for the vector of each text (`compared.py`), once however many pairs
that is in. A reranker that generates is shown each pair, and asked for the logits of its words
(`judged.py`). Stands on `frontend`.
"""
