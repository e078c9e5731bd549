"""What a grammar may cost: it is a stranger's, and engines compute with it at every token."""

from llguidance import LLParserLimits

MOST_BYTES = 1 << 17
"""Of a grammar."""
LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,  # 20 ms, once
    step_lexer_fuel=100_000,  # 7 ms of a mask
    step_max_items=25_000,  # 1.3 ms of a mask
    max_lexer_states=25_000,  # 50 MB
    max_grammar_size=250_000,
    verbose_errors=False,  # what a client wrote is not for our logs
)
"""By llguidance's own measure of what its units take."""
