"""JSON schemas as documents: what their keywords hold, and where references lead. Whoever reads
schemas may import it; begin with `resolved.py`. What a grammar does with keywords is
`raylax.proto.grammar.schema`'s.
"""
