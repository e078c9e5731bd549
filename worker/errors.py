"""What keeps an engine from starting or answering.

* EngineStartError   a step of the initialisation failed
  - ConfigError      engine options that contradict each other, the model, or this build
* EngineNotReady     no model is loaded, or the engine has ended

What goes wrong with a request is in raylax.proto.errors.
"""


class EngineStartError(Exception):
    """The message names the step and the reason."""


class ConfigError(EngineStartError, ValueError):
    """Engine options that contradict each other, the model, or what this build can do."""


class EngineNotReady(RuntimeError):
    """No model is loaded, the engine has ended, or its thread does not answer."""
