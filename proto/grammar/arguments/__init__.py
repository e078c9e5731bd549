"""What may be said in a call: the arguments of a function by their schema, in each of the ways in
which formats write them. Begin with `rule.py`.
"""
