"""How tokens are drawn where a client does not say."""

from dataclasses import dataclass
from typing import Any, TypeVar

from raylax.proto.openai.shared import SamplingFields
from raylax.proto.vocabulary import Sampling

Number = TypeVar("Number", int, float)


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

    def fill_in(
        self, body: SamplingFields, vocab: int, seed: int, top_logprobs: int | None
    ) -> Sampling:
        """How the answer to `body` is drawn from a vocabulary of so many tokens."""
        bias = {int(token): value for token, value in (body.logit_bias or {}).items()}
        return Sampling(
            temperature=given_or(self.temperature, body.temperature),
            top_p=given_or(self.top_p, body.top_p),
            top_k=min(max(0, given_or(self.top_k, body.top_k)), vocab),
            min_p=body.min_p,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            repetition_penalty=given_or(self.repetition_penalty, body.repetition_penalty),
            logit_bias=tuple(sorted(bias.items())),
            seed=seed % (1 << 64),
            top_logprobs=top_logprobs,
        )


def given_or(default: Number, value: Number | None) -> Number:
    return default if value is None else value
