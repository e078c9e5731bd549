"""Draft heads: small networks that go on from what a model has computed, and say what it may say
next. They change no token: the model verifies what they draft.

`base.py` is the contract, `load_head` of `eagle.py` gives one that runs. It stands on
`raylax.kernels.cpu` and `raylax.kernels.cuda`: a head of EAGLE's is a decoder of one layer that
begins otherwise (`raylax.kernels.spec.Fusion`). Where the base's tokens are and what is done with
drafts is known to the worker alone.
"""
