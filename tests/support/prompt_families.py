"""Models' text files of many kinds, with templates of our own that do what known ones do."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tests.support.prompt_tokenizers import (
    beginning_with,
    byte_level,
    piece_bpe,
    piece_unigram,
)

TURNS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
CALLS = ["<tool_call>", "</tool_call>"]
HEADERS = ["<|begin|>", "<|header|>", "<|/header|>", "<|eot|>"]
INST = ["[INST]", "[/INST]", "[TOOLS]", "[/TOOLS]", "[CALLS]", "[RESULTS]", "[/RESULTS]"]

MARKED_TURNS = """
{%- macro turn(role, text) -%}
<|im_start|>{{ role }}
{{ text }}<|im_end|>
{% endmacro -%}
{%- if messages[0].role != 'system' %}{{ turn('system', 'Be of help.') }}{% endif -%}
{%- if tools %}<|im_start|>system
You may call:{% for tool in tools %}

{{ tool | tojson }}{% endfor %}<|im_end|>
{% endif -%}
{%- for m in messages -%}
  {%- if m.tool_calls -%}
<|im_start|>{{ m.role }}{% if m.content %}

{{ m.content }}{% endif -%}
    {%- for c in m.tool_calls %}

<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{%+ elif m.role == 'tool' -%}
{{ turn('user', '<result>' ~ m.content ~ '</result>') }}
  {%- else -%}
{{ turn(m['role'], m['content']) }}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}{% endif -%}
"""

DATED_HEADERS = """
{%- set date_string = date_string | default(strftime_now('%d %b %Y')) -%}
{{ bos_token }}<|header|>system<|/header|>

Today is {{ date_string }}.{% if tools %} Tools, as JSON:
{% for t in tools %}{{ t | tojson(indent=4) }}

{% endfor %}{% endif %}<|eot|>
{%- for m in messages -%}
<|header|>{{ 'ipython' if m.role in ['tool', 'ipython'] else m.role }}<|/header|>

{% if m.tool_calls %}{{ {"name": m.tool_calls[0].function.name,
  "parameters": m.tool_calls[0].function.arguments} | tojson }}
{%- elif m.content is mapping or m.content is iterable and m.content is not string -%}
{{ m.content | tojson }}{% else %}{{ m['content'] | trim }}{% endif %}<|eot|>
{%- endfor -%}
{%- if add_generation_prompt %}<|header|>assistant<|/header|>

{% endif -%}
"""

ALTERNATING = """
{{- bos_token -}}
{%- for m in messages -%}
  {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}
    {{- raise_exception('user and assistant take turns') -}}
  {%- endif -%}
  {%- if m['role'] == 'user' -%}
    {{- '[INST] ' + m['content'] + ' [/INST]' -}}
  {%- else -%}
    {{- ' ' + m['content'] + eos_token -}}
  {%- endif -%}
{%- endfor -%}
"""

ALTERNATING_WITH_TOOLS = """
{{- bos_token -}}
{%- set last = messages | selectattr('role', 'equalto', 'user') | list | last -%}
{%- for m in messages -%}
  {%- if m.role == 'user' -%}
    {%- if m == last -%}{{- '[TOOLS]' + (tools | tojson) + '[/TOOLS]' -}}{%- endif -%}
    {{- '[INST]' + m.content + '[/INST]' -}}
  {%- elif m.tool_calls -%}
    {{- '[CALLS][' -}}
    {%- for c in m.tool_calls -%}
      {%- if c.id | length != 9 %}{{ raise_exception('ids of calls have 9 letters') }}{% endif -%}
      {%- set f = c.function | tojson -%}
      {{- f[:-1] + ', "id": "' + c.id + '"}' -}}{{- ', ' if not loop.last else ']' + eos_token -}}
    {%- endfor -%}
  {%- elif m.role == 'tool' -%}
    {{- '[RESULTS]{"content": ' + m.content | string + ', "call_id": "' + m.tool_call_id + '"}' -}}
    {{- '[/RESULTS]' -}}
  {%- else -%}
    {{- m.content + eos_token -}}
  {%- endif -%}
{%- endfor -%}
"""

NO_SYSTEM = """
{{- bos_token -}}
{%- if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif -%}
{%- for m in messages -%}
{%- set role = 'model' if m.role == 'assistant' else m.role -%}
<turn>{{ role }}
{{ m.content | trim }}</turn>
{% endfor -%}
{%- if add_generation_prompt %}<turn>model
{% endif -%}
"""

SYSTEM_INSIDE = """
{%- if messages[0]['role'] == 'system' -%}
  {%- set rest = messages[1:] -%}
  {%- set before = '<<SYS>>\\n' + messages[0]['content'].strip() + '\\n<</SYS>>\\n\\n' -%}
{%- else -%}
  {%- set rest = messages -%}
  {%- set before = '' -%}
{%- endif -%}
{%- for m in rest -%}
  {%- set text = before + m['content'] if loop.first else m['content'] -%}
  {%- if m['role'] == 'user' -%}
    {{- bos_token + '[INST] ' + text.strip() + ' [/INST]' -}}
  {%- elif m['role'] == 'assistant' -%}
    {{- ' ' + text.strip() + ' ' + eos_token -}}
  {%- endif -%}
{%- endfor -%}
"""

GROUNDED = """
{{- bos_token }}# Sources
{% for d in documents -%}
Document: {{ loop.index0 }}
{%- for key, value in d.items() %}

{{ key | title }}: {{ value }}{% endfor %}

{% endfor -%}
{% for m in messages %}<|im_start|>{{ m.role }}|{{ m.content }}<|im_end|>{% endfor -%}
{% if add_generation_prompt %}<|im_start|>assistant|{% endif %}
"""

PIPED = """
{%- for m in messages %}<|im_start|>{{ m.role }}|{{ m.content }}<|im_end|>{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant|{% endif -%}
"""

IN_PARTS = """
{%- for m in messages -%}
<|im_start|>{{ m.role }}
{% if m['content'] is string %}{{ m['content'] }}{% else -%}
{%- for part in m['content'] -%}
{%- if part['type'] == 'image' %}<image>{% elif 'text' in part %}{{ part['text'] }};{% endif -%}
{%- endfor -%}{%- endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""

TRAINED_ON = """
{%- for m in messages -%}
  {%- if m.role == 'assistant' -%}
<|im_start|>assistant
{% generation %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif -%}
{{ m.content }}<|im_end|>{% endgeneration %}

{% else -%}
<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif -%}
  {%- if loop.index > 40 %}{% break %}{% endif -%}
{%- endfor -%}
{%- if tools %}
{{ tools | tojson(ensure_ascii=true, separators=(',', ':'), sort_keys=true) }}
{% endif -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


@dataclass(frozen=True)
class PromptFamily:
    """A tokenizer and what stands beside it."""

    tokenizer: Callable[[], Tokenizer]
    config: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    edit: Callable[[dict[str, Any]], None] = lambda written: None
    """Changes what tokenizer.json says."""

    def write(self, directory: Path) -> Path:
        """A directory with all of it."""
        written = json.loads(self.tokenizer().to_str())
        self.edit(written)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **self.config}
        files = {
            "tokenizer.json": json.dumps(written),
            "tokenizer_config.json": json.dumps(config),
            **self.files,
        }
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return directory


def left_over(written: dict[str, Any]) -> None:
    """What training leaves in a tokenizer.json."""
    written["truncation"] = {
        "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0,
    }  # fmt: skip
    written["padding"] = {
        "strategy": {"Fixed": 64}, "direction": "Left", "pad_to_multiple_of": None,
        "pad_id": 454, "pad_type_id": 0, "pad_token": "<|endoftext|>",
    }  # fmt: skip


def without_added(written: dict[str, Any]) -> None:
    """A tokenizer.json whose added tokens stand elsewhere."""
    written["added_tokens"] = []


def declared(made: Tokenizer, later: int = 0) -> dict[str, Any]:
    """A tokenizer's added tokens, as tokenizer_config.json declares them; their ids may be `later`
    ones than those that they have."""
    flags = ("lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        str(id + later): {
            "content": token.content,
            **{flag: getattr(token, flag) for flag in flags},
        }
        for id, token in made.get_added_tokens_decoder().items()
    }


def turns() -> Tokenizer:
    return byte_level(TURNS, CALLS)


def declared_otherwise() -> dict[str, Any]:
    """Tokens as tokenizer.json has them, but for what one of them takes with it."""
    tokens = declared(turns())
    for token in tokens.values():
        if token["content"] == "<|im_start|>":
            token["rstrip"] = True
    return tokens


def old_and_new(**named: Any) -> dict[str, str]:
    """Files as older models have them."""
    return {"special_tokens_map.json": json.dumps(named)}


NAMED_ALL = (
    "{{ bos_token }} {{ eos_token }}{{ pad_token }}{{ image_token }}<zz><aa> x <e\u0301> <\u00e9>"
    "<|be\u0301gin|> <|b\u00e9gin|>"
)
"""A template that shows which tokens have names, and others that are added."""


BOS_EOS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
FAMILIES = {
    "turns and tools": PromptFamily(
        turns,
        {"eos_token": "<|im_end|>", "chat_template": MARKED_TURNS, "add_bos_token": False},
        edit=left_over,
    ),
    "declared beside": PromptFamily(
        turns,
        {"added_tokens_decoder": declared(turns(), 545), "chat_template": MARKED_TURNS},
        edit=without_added,
    ),
    "named in an older file": PromptFamily(
        turns,
        {"chat_template": "{{ bos_token }}" + MARKED_TURNS},
        {
            "special_tokens_map.json": json.dumps(
                {
                    "bos_token": {"content": "<|endoftext|>", "lstrip": False, "rstrip": False,
                                  "normalized": False, "single_word": False},
                    "eos_token": "<|im_end|>",
                    "additional_special_tokens": ["<|im_start|>", "<|extra|>"],
                }
            ),
            "added_tokens.json": json.dumps({"<extra>": 500, "<|extra|>": 501}),
        },
        without_added,
    ),
    "dated headers": PromptFamily(
        lambda: beginning_with(byte_level(HEADERS), "<|begin|>"),
        {"bos_token": "<|begin|>", "eos_token": "<|eot|>", "chat_template": DATED_HEADERS},
    ),
    "alternating": PromptFamily(
        lambda: beginning_with(piece_bpe(INST, first_only=True), "<s>"),
        {
            **BOS_EOS,
            "chat_template": [
                {"name": "default", "template": ALTERNATING},
                {"name": "tool_use", "template": ALTERNATING_WITH_TOOLS},
            ],
        },
    ),
    "no system": PromptFamily(
        lambda: piece_unigram(["<turn>", "</turn>"]),
        {**BOS_EOS, "chat_template": NO_SYSTEM, "add_bos_token": True, "add_eos_token": False},
    ),
    "system inside": PromptFamily(
        lambda: piece_bpe([]),
        {**BOS_EOS, "chat_template": SYSTEM_INSIDE, "add_bos_token": True, "add_eos_token": True},
    ),
    "with documents": PromptFamily(
        turns,
        {"bos_token": "<|endoftext|>", "chat_template": "of old, not looked at"},
        {
            "chat_template.jinja": PIPED,
            "additional_chat_templates/rag.jinja": GROUNDED,
        },
    ),
    "in parts": PromptFamily(turns, {"chat_template": IN_PARTS}),
    "declared otherwise": PromptFamily(
        turns,
        {
            "added_tokens_decoder": declared_otherwise(), "bos_token": "<|im_start|>",
            "chat_template": NAMED_ALL + MARKED_TURNS,
        },
        old_and_new(bos_token="<|endoftext|>", pad_token="<|pad|>"),
    ),
    "named twice": PromptFamily(
        turns,
        {
            "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "",
            "extra_special_tokens": {"image_token": "<|image|>"},
            "chat_template": NAMED_ALL + MARKED_TURNS,
        },
        {
            **old_and_new(
                bos_token="<|be\u0301gin|>", pad_token={"content": "<|pad|>", "special": False}
            ),
            "added_tokens.json": json.dumps(
                {"<zz>": 497, "<aa>": 498, "<e\u0301>": 499, "<|be\u0301gin|>": 500}
            ),
        },
    ),
    "split": PromptFamily(
        turns,
        {
            "split_special_tokens": True, "extra_special_tokens": ["<|more|>"],
            "eos_token": "<|im_end|>", "chat_template": MARKED_TURNS,
        },
    ),
    "trained on": PromptFamily(
        lambda: beginning_with(turns(), "<|endoftext|>"),
        {
            "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "chat_template": TRAINED_ON,
            "add_bos_token": False,
        },
    ),
}  # fmt: skip

TEXTS = [
    "hello world, who is the user?",
    " two  spaces\tand a tab \r\n\n\nlines  ",
    "Grüße, 世界! 👋🏽 é e\u0301 \u200b مرحبا",
    '<b>&amp;"it\'s"</b> \\n {{ no }} {% template %} [x] <s',
    "12345678 3.14 __init__ a/b?c=d&e=f",
    "",
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "It's <the> weather in „Zürich“",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["a", "ü"]}},
            "required": ["city"],
        },
    },
}
NOTHING = {
    "type": "function",
    "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
}


def said(*texts: str, first: str = "user") -> list[dict[str, Any]]:
    """Turns of user and assistant, or with a system's before them."""
    roles = ["user", "assistant"] * len(texts)
    if first == "system":
        roles.insert(0, "system")
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def calling(arguments: Any, **turn: Any) -> list[dict[str, Any]]:
    """A conversation in which a tool was called."""
    call = {"name": "weather", "arguments": arguments}
    made = {"id": "abcdef123", "type": "function", "function": call}
    return [
        *said("What is the weather?"),
        {"role": "assistant", "content": "", **turn, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "abcdef123", "content": '{"sky": "grey"}'},
    ]


REQUESTS: dict[str, dict[str, Any]] = {
    "texts": {"messages": said(*TEXTS[:5])},
    "empty": {"messages": said("", "", "x")},
    "system": {"messages": said(*TEXTS[:4], first="system")},
    "no turn begun": {"messages": said("hello", "you"), "add_generation_prompt": False},
    "continued": {"messages": said("hello", "The answer is "), "continue_final_message": True},
    "told": {
        "messages": said("hello"),
        "chat_template_kwargs": {"enable_thinking": False, "date_string": "1 May 2030"},
    },
    "tools": {"messages": said(TEXTS[2]), "tools": [WEATHER, NOTHING]},
    "called": {"messages": calling({"city": "ü", "n": 1}), "tools": [WEATHER]},
    "documents": {
        "messages": said("who?"),
        "documents": [{"title": "a <b>", "text": TEXTS[1]}, {"title": "ü", "text": TEXTS[4]}],
    },
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": t} for t in TEXTS[:2]]},
            *said("x", first="system")[1:],
        ]
    },
    "thoughts": {
        "messages": [
            *said("hello"),
            {"role": "assistant", "content": "you", "reasoning_content": "They greet."},
            *said("and?"),
        ]
    },
}
ASKED = {
    "dated headers": ["told", "tools and a date"],
    "with documents": ["texts", "documents", "continued"],
    "in parts": ["texts", "parts", "system"],
}
"""What is asked of a family that cannot be asked everything."""
REQUESTS["tools and a date"] = REQUESTS["tools"] | {
    "chat_template_kwargs": {"date_string": "1 May 2030"}
}
EVERYTHING = [name for name in REQUESTS if name not in ("documents", "parts", "tools and a date")]


def asked_of(family: str) -> list[str]:
    """The names of the requests whose prompts are compared."""
    return ASKED.get(family, EVERYTHING)
