"""How tokens are drawn where a client does not say."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SamplingDefaults:
    """What a checkpoint's generation_config.json says of sampling; without one, nothing is cut."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0

    @classmethod
    def of(cls, config: dict[str, Any]) -> "SamplingDefaults":
        """A temperature of 0 is one; elsewhere 0 means "not set", as null does."""
        greedy = config.get("do_sample") is False
        temperature = 0.0 if greedy else config.get("temperature")
        return cls(
            temperature=1.0 if temperature is None else float(temperature),
            top_p=float(config.get("top_p") or 1.0),
            top_k=int(config.get("top_k") or 0),
            repetition_penalty=float(config.get("repetition_penalty") or 1.0),
        )
