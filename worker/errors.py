"""What keeps an engine from starting or answering.

* EngineStartError   a step of the initialisation failed
  - ConfigError      engine options that contradict each other, the model, or this build
* EngineNotReady     no model is loaded, or the engine has ended
  - EngineLost       something it cannot do without is gone
    . RankLost       a rank died, hangs or failed
    . ModelDamaged   the weights in memory are no longer what was loaded
    . DeviceLost     a GPU, or the context on it, is gone

What goes wrong with a request is in raylax.proto.errors.
"""


class EngineStartError(Exception):
    """The message names the step and the reason."""


class ConfigError(EngineStartError, ValueError):
    """Engine options that contradict each other, the model, or what this build can do."""


class EngineNotReady(RuntimeError):
    """No model is loaded, the engine has ended, or its thread does not answer."""


class EngineLost(EngineNotReady):
    """There will be no further step here, through no fault of a request: others can go on with
    all of them."""


class RankLost(EngineLost):
    """A rank died, hangs or failed. The message says which rank, and where it was."""


class ModelDamaged(EngineLost):
    """The model no longer computes what it did when it was loaded; the memory of others is their
    own."""


class DeviceLost(EngineLost):
    """A GPU does not answer any more, or no longer to this process. The message says which one, and
    why."""

    def __init__(self, message: str, uuid: str = "") -> None:
        """`uuid`: the GPU's, where it is known."""
        super().__init__(message)
        self.uuid = uuid
