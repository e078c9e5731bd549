"""How tokens are drawn, and what ends an answer, where a client does not say."""

from dataclasses import dataclass
from typing import Any, TypeVar

from llguidance import LLTokenizer
from pydantic import ValidationError

from raylax.proto.grammar.tokens import grammar_tokenizer
from raylax.proto.openai.shared import SamplingFields
from raylax.proto.text.files import GENERATION, TextFiles
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import Sampling

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class SamplingDefaults:
    """What a checkpoint's generation_config.json says of sampling; without one, nothing is cut. The
    two penalties are in those of MLC's packages."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    """Strings that end an answer, beside those that a client gives."""

    @classmethod
    def of(cls, config: dict[str, Any]) -> "SamplingDefaults":
        """A temperature of 0 is one; elsewhere 0 means "not set", as null does. Raises ValueError
        for what no client could ask for."""
        greedy = config.get("do_sample") is False
        temperature = given(config, "temperature", 1.0)
        return cls(
            temperature=0.0 if greedy else temperature,
            top_p=given(config, "top_p", 1.0) or 1.0,
            top_k=max(0, int(given(config, "top_k", 0))),
            repetition_penalty=given(config, "repetition_penalty", 1.0) or 1.0,
            min_p=given(config, "min_p", 0.0),
            presence_penalty=given(config, "presence_penalty", 0.0),
            frequency_penalty=given(config, "frequency_penalty", 0.0),
            stop=stops_in(config.get("stop_strings")),
        )

    def fill_in(
        self, body: SamplingFields, vocab: int, seed: int, top_logprobs: int | None
    ) -> Sampling:
        """How the answer to `body` is drawn from a vocabulary of so many tokens; its `bad_words`
        are for a tokenizer."""
        bias = {int(token): value for token, value in (body.logit_bias or {}).items()}
        return Sampling(
            temperature=given_or(self.temperature, body.temperature),
            top_p=given_or(self.top_p, body.top_p),
            top_k=min(max(0, given_or(self.top_k, body.top_k)), vocab),
            min_p=given_or(self.min_p, body.min_p),
            presence_penalty=given_or(self.presence_penalty, body.presence_penalty),
            frequency_penalty=given_or(self.frequency_penalty, body.frequency_penalty),
            repetition_penalty=given_or(self.repetition_penalty, body.repetition_penalty),
            logit_bias=tuple(sorted(bias.items())),
            seed=seed % (1 << 64),
            top_logprobs=top_logprobs,
            typical_p=given_or(1.0, body.typical_p),
            min_tokens=body.min_tokens,
            allowed_token_ids=tuple(body.allowed_token_ids or ()),
        )


def given(config: dict[str, Any], field: str, default: float) -> float:
    """What the file says of a field. Raises ValueError for what no client could ask for."""
    value = default if config.get(field) is None else config[field]
    if type(value) not in (int, float):
        raise ValueError(f"{field} must be a number, found {value!r}")
    try:
        if value:  # 0 is "not set" where no client may say it
            SamplingFields.model_validate({field: value})
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise ValueError(f"{field}: {why}, found {value!r}") from None
    return float(value)


def stops_in(value: Any) -> tuple[str, ...]:
    """One string, a list of them, or nothing. Raises ValueError for what no client could ask
    for."""
    try:
        return tuple(SamplingFields.model_validate({"stop": value or None}).stops)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise ValueError(f"stop_strings: {why}, found {value!r:.100}") from None


def given_or(default: Number, value: Number | None) -> Number:
    return default if value is None else value


def defaults_of(files: TextFiles) -> SamplingDefaults:
    """What the model's files say of sampling. Raises ValueError with the file."""
    try:
        return SamplingDefaults.of(files.generation_config)
    except ValueError as error:
        raise ValueError(f"{files.directory / GENERATION}: {error}") from None


def ends_of(files: TextFiles, tokenizer: Tokenizer, defaults: SamplingDefaults) -> frozenset[int]:
    """The tokens that end an answer."""
    ends = [files.end_token, *filter(tokenizer.special_id, defaults.stop)]
    return files.end_token_ids.union(*(ids_of(tokenizer, end) for end in ends))


def ids_of(tokenizer: Tokenizer, token: str | None) -> frozenset[int]:
    """The id of a token, if there is one."""
    id = None if token is None else tokenizer.id_of(token)
    return frozenset() if id is None else frozenset({id})


def vocabulary_for_grammars(files: TextFiles, vocab: int) -> LLTokenizer:
    """The `vocab` tokens of a model as grammars look at them. Raises as `Frontend.load`, and
    ValueError for a model that has no end token."""
    tokenizer = files.tokenizer()
    return grammar_tokenizer(tokenizer, ends_of(files, tokenizer, defaults_of(files)), vocab)
