"""The tokenizer, made from the generated text, and conversations as token ids."""

import json
import random
import re
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment
from skills import Conversation, draw
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VISIBLE = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
MARKS = re.compile("|".join(map(re.escape, [*SPECIAL, *VISIBLE])))
VOCABULARY = 512

environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False}
template = environment.from_string((HERE / "chat_template.jinja").read_text())


def render(conversation: Conversation, add_generation_prompt: bool = False) -> str:
    return template.render(
        messages=conversation.messages,
        tools=conversation.tools or None,
        add_generation_prompt=add_generation_prompt,
    )


def train_tokenizer(samples: int = 20_000) -> Tokenizer:
    """Byte-level BPE with single digits and few merges: the model has to see letters to spell."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    rng = random.Random(0)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        show_progress=False,
        special_tokens=[*SPECIAL, *VISIBLE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = (MARKS.sub("\n", render(draw(rng))) for _ in range(samples))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in VISIBLE])
    return tokenizer


def encode(tokenizer: Tokenizer, conversation: Conversation) -> tuple[list[int], list[bool]]:
    """The ids of a conversation, and which of them the model learns: what an assistant says.

    Each turn is encoded together with all before it as the server will do it, up to `<|im_end|>`.
    """
    ids: list[int] = tokenizer.encode(render(conversation)).ids
    start, end = (tokenizer.token_to_id(text) for text in SPECIAL[1:])
    header = tokenizer.encode("assistant\n").ids
    learned, speaking = [], False
    for i, token in enumerate(ids):
        learned.append(speaking)
        if token == end:
            speaking = False
        elif ids[i - len(header) : i + 1] == [start, *header]:
            speaking = True
    return ids, learned


def write_tokenizer(tokenizer: Tokenizer, out: Path, context: int) -> None:
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "chat_template": (HERE / "chat_template.jinja").read_text(),
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
