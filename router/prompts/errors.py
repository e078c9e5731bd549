"""What can go wrong where prompts are made.

* ForkServerLost  the process that makes processes has ended, or does not answer
  - NotLoaded     it cannot load a model's files
* ModelAtFault    a model's template or tokenizer does not come to an end with a prompt  -> 400
"""

from raylax.proto.errors import InvalidRequest


class ForkServerLost(Exception):
    """Says why."""


class NotLoaded(ForkServerLost):
    """Says what its reading of the files has raised."""


class ModelAtFault(InvalidRequest):
    """The call's own fault as others see it: what it sends is what the program cannot do."""
