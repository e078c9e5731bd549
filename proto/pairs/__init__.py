"""How well texts fit each other, a query and a document, and which labels they have: the calls of
/v1/score, /v1/rerank and /classify.

A model of embeddings is asked for the vector of each text (`compared.py`), once however many pairs
that is in. A reranker that generates is shown each pair, and asked for the logits of its words
(`judged.py`). One with a head for labels has their logits (`labelled.py`). Stands on `frontend`.
"""
