"""What keeps an engine from starting or answering.

* EngineStartError   a step of the initialisation failed
  - ConfigError      engine options that contradict each other, the model, or this build
* EngineNotReady     no model is loaded, or the engine has ended
  - RankLost         a rank died, hangs or failed
  - ModelDamaged     the weights in memory are no longer what was loaded

What goes wrong with a request is in raylax.proto.errors.
"""


class EngineStartError(Exception):
    """The message names the step and the reason."""


class ConfigError(EngineStartError, ValueError):
    """Engine options that contradict each other, the model, or what this build can do."""


class EngineNotReady(RuntimeError):
    """No model is loaded, the engine has ended, or its thread does not answer."""


class RankLost(EngineNotReady):
    """A rank died, hangs or failed, and with it the engine: others can go on with its requests.
    The message says which rank, and where it was."""


class ModelDamaged(EngineNotReady):
    """The model no longer computes what it did when it was loaded: others, whose memory is their
    own, can go on with its requests."""
