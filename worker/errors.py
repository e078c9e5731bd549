"""What keeps an engine from starting. What goes wrong with a request is in raylax.proto.errors."""


class EngineStartError(Exception):
    """A step of the initialisation failed; the message names the step and the reason."""


class ConfigError(ValueError):
    """Engine options that contradict each other, the model, or what this build can do."""
