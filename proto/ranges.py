"""The values that fields of a request may have: one definition, whichever way a request comes.

Bodies and messages are checked by it where they come in, and a worker checks what it is given once
more. Inside of the ranges no step of a draw can overflow, but for logits that are themselves at the
end of their type.
"""

from typing import NamedTuple

from raylax.proto.errors import InvalidRequest, shown


class Range(NamedTuple):
    """Numbers from `least` to `most`, both included. NaN is in none."""

    least: float
    most: float

    def check(self, value: object, field: str) -> None:
        """Raises InvalidRequest for what is no number of the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and self.least <= value <= self.most):  # type: ignore[operator]
            rule = f"must be a number from {self.least:g} to {self.most:g}"
            raise InvalidRequest(f"{field}: {rule}, found {shown(value)}", param=field)


TEMPERATURE = Range(0, 2)
PROBABILITY = Range(0, 1)
"""Of top_p, where 0 leaves the likeliest token alone, of min_p, and of typical_p."""
PENALTY = Range(-2, 2)
"""Of presence_penalty and frequency_penalty."""
REPETITION_PENALTY = Range(0.01, 10)
"""What divides logits: nothing near 0."""
BIAS = Range(-100, 100)
TOP_LOGPROBS = Range(0, 20)
LONGEST_S = 365 * 86_400
"""Of whatever a client names in seconds, which are more than 0: a year."""
MOST_COUNTED = (1 << 63) - 1
"""Of whatever a client counts: what is more than there is means all of it, and has 64 bits."""
TENANT_SHARE = Range(0.001, 1000)
"""What tokens are divided by."""
SAMPLING = {
    "temperature": TEMPERATURE,
    "top_p": PROBABILITY,
    "min_p": PROBABILITY,
    "typical_p": PROBABILITY,
    "presence_penalty": PENALTY,
    "frequency_penalty": PENALTY,
    "repetition_penalty": REPETITION_PENALTY,
}
"""The numbers of `Sampling`, by name."""
