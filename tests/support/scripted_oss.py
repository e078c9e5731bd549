"""A checkpoint of gpt-oss's shape that says one text in its form: with its experts, sinks and
biases, and special tokens that come again and again.

A token of the text is one dimension of the hidden state, all others share one. Experts, which are
all alike, turn a token's dimension into the next one's. Where a token comes several times, what
follows it is told by what was said: attention sees all tokens alike, so each that comes once leaves
a mark in a dimension of its own, for good, which keeps what comes before it from being said again.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from raylax.kernels.families import spec_of, tensors_of
from tests.support.checkpoints import write_tokenizer
from tests.support.experts_together import together
from tests.support.family_configs import FULL, LOCAL, named

SPECIAL = (
    "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|constrain|>", "<|return|>", "<|call|>",
)  # fmt: skip
ENDS = ("<|return|>", "<|call|>")
TEMPLATE = (
    "<|start|>system<|message|>Reasoning: {{ reasoning_effort or 'medium' }}<|end|>"
    "{% if tools %}<|start|>developer<|message|>namespace functions: "
    "{% for one in tools %}{{ one.function.name }} {{ one.function.parameters | tojson }}"
    "{% endfor %}<|end|>{% endif %}"
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
"""In the form of the model's own: its parsers are known by these marks."""
MARKED = "{#- <|channel|>final -#}"
WIDTH, LOUD, SEEN, NEXT = 64, 100.0, 1000.0, 100.0


def write_scripted_oss(path: Path, pieces: Sequence[str]) -> Path:
    """`pieces`: special tokens, and texts, each of which comes once. The first one follows whatever
    is none; the last is one of ENDS."""
    config = named(
        "GptOssForCausalLM", "gpt_oss", hidden_size=WIDTH, intermediate_size=WIDTH, head_dim=32,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2,
        num_hidden_layers=2, layer_types=[FULL, LOCAL], sliding_window=24, swiglu_limit=7.0,
        vocab_size=192, attention_bias=True, tie_word_embeddings=False,
    )  # fmt: skip
    path.mkdir(parents=True, exist_ok=True)
    ids = write_texts(path, list(dict.fromkeys(pieces)))
    config["eos_token_id"] = [ids[one] for one in ENDS]
    (path / "config.json").write_text(json.dumps(config))
    generation = {"eos_token_id": config["eos_token_id"]}
    (path / "generation_config.json").write_text(json.dumps(generation))
    spec = spec_of(config)
    weights = {name: np.zeros(shape, np.float32) for name, shape in tensors_of(spec)}
    for name, weight in weights.items():
        if "norm" in name:
            weight[:] = 1
        if name.endswith("self_attn.sinks"):
            weight[:] = -1e4
    dims = {piece: at for at, piece in enumerate(dict.fromkeys(pieces), start=1)}
    embedding = weights["model.embed_tokens.weight"]
    embedding[:, 0] = LOUD
    for piece, dim in dims.items():
        embedding[ids[piece]] = LOUD * np.eye(WIDTH)[dim]
    weights["lm_head.weight"][:] = embedding
    marks = marks_of(pieces, dims)
    for at, (piece, mark) in enumerate(marks.items()):
        weights["model.layers.0.self_attn.v_proj.weight"][at, dims[piece]] = 1
        weights["model.layers.0.self_attn.o_proj.weight"][mark, at] = SEEN
    for unit, (before, piece) in enumerate(zip(["", *pieces], pieces, strict=False)):
        later = (one for one in pieces[unit:] if one in marks)
        for expert in range(4):
            each = f"model.layers.0.mlp.experts.{expert}"
            weights[f"{each}.gate_proj.weight"][unit, dims.get(before, 0)] = 2
            if (guard := next(later, None)) is not None:
                weights[f"{each}.gate_proj.weight"][unit, marks[guard]] = -40
            weights[f"{each}.gate_proj.bias"][unit] = -2
            weights[f"{each}.down_proj.weight"][dims[piece], unit] = NEXT * LOUD / (1 + unit)
    save_file(together(weights, spec, in_mxfp4=False), path / "model.safetensors")
    return path


def marks_of(pieces: Sequence[str], dims: dict[str, int]) -> dict[str, int]:
    """The dimension in which it is kept that something was said, of each that comes once."""
    once = [piece for piece in dims if piece not in SPECIAL and pieces.count(piece) == 1]
    return {piece: len(dims) + 1 + at for at, piece in enumerate(once)}


def write_texts(path: Path, pieces: list[str]) -> dict[str, int]:
    """A tokenizer that has the special tokens, and a token for each other piece, and the template;
    the ids of all."""
    write_tokenizer(path)
    file = path / "tokenizer.json"
    content = json.loads(file.read_text())
    vocab: dict[str, int] = content["model"]["vocab"]
    ids, content["added_tokens"] = dict[str, int](), []  # ids have no gaps
    for id, piece in enumerate((one for one in pieces if one not in SPECIAL), start=len(vocab)):
        ids[piece] = vocab[piece.replace(" ", "Ġ")] = id
    file.write_text(json.dumps(content))
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(file))
    settings = {"chat_template": MARKED + TEMPLATE}
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    for one in SPECIAL:
        found = tokenizer.token_to_id(one)
        assert found is not None
        ids[one] = found
    return ids
