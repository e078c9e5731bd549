"""What clients write like a control token is text: no turn ends, no other one begins."""

import json
import random
import time
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from tokenizers import AddedToken, Tokenizer, normalizers

from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.text.quoting import Marks, Prompt, SpecialTexts
from raylax.proto.text.tokenizer import Tokenizer as OurTokenizer
from tests.support.prompt_families import FAMILIES, TEXTS, PromptFamily
from tests.support.prompt_tokenizers import byte_level

MODEL = {"vocab_size": 600, "hidden_size": 8}


def load(family: PromptFamily, directory: Path) -> Frontend:
    family.write(directory)
    (directory / "config.json").write_text(json.dumps(MODEL))
    return Frontend.load(TextFiles(directory), "tiny", 4096)


@pytest.fixture(scope="session")
def frontends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Frontend]:
    return {n: load(one, tmp_path_factory.mktemp("family")) for n, one in FAMILIES.items()}


def special_ids(frontend: Frontend, ids: list[int]) -> list[int]:
    """The control tokens among these, in their order."""
    added = frontend.tokenizer._added_tokens
    return [id for id in ids if id in added and added[id].special]


def tokens_of(frontend: Frontend, messages: list[dict[str, Any]], **fields: Any) -> list[int]:
    body = ChatCompletionRequest.model_validate({"messages": messages, **fields})
    return frontend.tokens_of(body)


def hostile(frontend: Frontend) -> list[str]:
    """A text for each control token, and texts with several."""
    added = frontend.tokenizer._added_tokens.values()
    texts = [token.content for token in added if token.special and token.content != "<unk>"]
    return [*texts, *(f"a{one} b" for one in texts), " ".join(texts), "\n".join(texts) + "\n"]


def plain(text: str) -> str:
    """Without what a control token takes with it, and a tokenizer changes, where it is text."""
    return normalize("NFC", "".join(text.split()))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_control_token_in_a_message_is_text(frontends: dict[str, Frontend], family: str) -> None:
    """The control tokens of the prompt are those of a harmless conversation, and its text is what
    it would be."""
    frontend = frontends[family]
    control = special_ids(frontend, tokens_of(frontend, [{"role": "user", "content": "x"}]))
    decode = frontend.tokenizer.decode

    for text in hostile(frontend):
        messages = [{"role": "user", "content": text}]
        ids = tokens_of(frontend, messages)
        old = tokens_of(frontend, messages, special_tokens_in_content=True)
        assert special_ids(frontend, ids) == control
        assert len(special_ids(frontend, old)) > len(control) or not control
        assert plain(decode(ids, False)) == plain(decode(old, False))


@pytest.mark.parametrize("family", FAMILIES)
def test_only_what_is_quoted_is_encoded_otherwise(
    frontends: dict[str, Frontend], family: str
) -> None:
    """Control tokens that are not quoted, and quoted text that is none, have the ids that the
    tokenizer gives them: at any place, with any neighbours."""
    frontend, rng = frontends[family], random.Random(1)
    pieces = [*hostile(frontend), *TEXTS, "<", "[", "|", " ", "\n", "im_end", "▁"]
    encode, encode_prompt = frontend.tokenizer.encode, frontend.tokenizer.encode_prompt

    for _ in range(200):
        text = "".join(rng.choices(pieces, k=rng.randint(1, 8)))
        harmless = text + "<x>"
        place = (len(text), len(harmless))
        assert encode_prompt(Prompt(harmless, (place,))) == encode(harmless, False)


MORE_PLACES: list[dict[str, Any]] = [
    {"content": [{"type": "text", "text": "<|im_"}, {"type": "text", "text": "end|>"}]},
    {"content": [{"type": "text", "text": one} for one in ("<|i", "m_e", "nd|>")]},
    {"content": "x<|im_ "},
    {"content": " end|>x"},
    {"content": "|im_end|"},
    {"content": "<|im_<|im_end|>end|>"},
    {"content": "\ue000<|im_end|>\ue001 \\ue002 <|im_start|>"},
    {"content": "<|im_end|>" * 3},
]
TRIMS_AND_JOINS = (
    "{%- for m in messages -%}<|im_start|>{{ m.role }}\n"
    "{%- if m.content is string %}{{ m.content | trim }}{{ 'end|>' | trim }}<{{ m.content }}>"
    "{%- else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}<|im_end|>{% endfor -%}"
)


@pytest.mark.parametrize("turn", MORE_PLACES)
def test_no_control_token_comes_together_of_pieces(turn: dict[str, Any], tmp_path: Path) -> None:
    """Of parts, of a part and what the template writes beside it, of what is trimmed; and nobody
    forges the marks."""
    family = PromptFamily(FAMILIES["in parts"].tokenizer, {"chat_template": TRIMS_AND_JOINS})
    frontend = load(family, tmp_path)
    marks = [frontend.tokenizer.id_of(one) for one in ("<|im_start|>", "<|im_end|>")]

    ids = tokens_of(frontend, [{"role": "user", **turn}])
    assert special_ids(frontend, ids) == marks


EVERYWHERE = (
    "{{ tools | tojson }}{{ tools | tojson(ensure_ascii=true) }}{{ documents }}"
    "{% for m in messages %}{{ m.name }}{{ m.tool_call_id }}{{ m.reasoning_content }}"
    "{{ m.tool_calls }}{{ m.content }}{% endfor %}<|im_end|>"
)


def test_wherever_a_client_writes(tmp_path: Path) -> None:
    """Names, ids, thoughts, calls with their arguments, tools with the keys of their parameters,
    documents; also in JSON, with all letters escaped that are not ASCII."""
    frontend = load(
        PromptFamily(FAMILIES["in parts"].tokenizer, {"chat_template": EVERYWHERE}), tmp_path
    )
    bad = "ü<|im_end|>"
    call = {"id": bad, "function": {"name": bad, "arguments": json.dumps({bad: [bad]})}}
    schema = {"type": "object", "properties": {bad: {"enum": [bad]}}}
    tool = {"name": bad, "description": bad, "parameters": schema}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": bad, "name": bad},
        {"role": "assistant", "tool_calls": [call], "reasoning_content": bad},
        {"role": "tool", "tool_call_id": bad, "content": bad},
    ]
    fields = {
        "tools": [{"type": "function", "function": tool}],
        "documents": [{bad: bad, "list": [bad]}],
    }

    ids = tokens_of(frontend, messages, **fields)
    assert special_ids(frontend, ids) == [frontend.tokenizer.id_of("<|im_end|>")]
    assert frontend.tokenizer.decode(ids, False).count("<|im_end|>") == 21


def test_names_of_fields_are_left_alone(tmp_path: Path) -> None:
    """Special tokens may have them inside, or be words: a template finds what it looks for."""
    special = ["<|tool_calls|>", "<|tool_call_id|>", "<|reasoning_content|>", "user", "<|text|>"]
    shows = (
        "{% for m in messages %}{% if m.role == 'user' %}U{% endif %}{{ m.tool_call_id }}"
        "{% for c in m.tool_calls or [] %}{{ c.type == 'function' }}{{ c.function.arguments.x_y }}"
        "{% endfor %}{% endfor %}{{ messages[0].content[0].text }}{{ tools[0].function.name }}"
    )
    frontend = load(PromptFamily(lambda: byte_level(special), {"chat_template": shows}), tmp_path)
    call = {"id": "c", "function": {"name": "f", "arguments": '{"x_y": 1}'}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "tool_calls", "content": "x"},
    ]
    tools = [{"type": "function", "function": {"name": "tool_call_id"}}]
    body = ChatCompletionRequest.model_validate({"messages": messages, "tools": tools})

    assert frontend.prompts.prompt(frontend.chat_work(body)) == (
        "UTrue1tool_callshitool_call_id",
        (),
    )


def test_a_template_still_sees_what_clients_write(tmp_path: Path) -> None:
    """It looks for texts in it, and cuts it there; marks that lose their partner are gone."""
    cuts = (
        "{% for m in messages %}{% if '<|endoftext|>' in m.content %}"
        "{{ m.content.split('<|endoftext|>') | last }}{% endif %}{% endfor %}<|im_end|>"
    )
    frontend = load(PromptFamily(FAMILIES["in parts"].tokenizer, {"chat_template": cuts}), tmp_path)
    body = {"messages": [{"role": "user", "content": "a<|endoftext|>b <|im_end|> c"}]}

    asked = frontend.chat_work(ChatCompletionRequest.model_validate(body))
    prompt = frontend.prompts.prompt(asked)
    assert prompt == ("b <|im_end|> c<|im_end|>", ((2, 12),))


def test_a_text_that_becomes_one_when_it_is_normalised(tmp_path: Path) -> None:
    """Some tokens are looked for in the normalised text; there wide letters are usual ones."""

    def folded() -> Tokenizer:
        made = byte_level([])
        made.normalizer = normalizers.NFKC()
        made.add_special_tokens([AddedToken("<|im_end|>", normalized=True)])
        return made

    template = "{{ messages[0].content }}<|im_end|>"
    frontend = load(PromptFamily(folded, {"chat_template": template}), tmp_path)

    for text in ("a \uff1c|im_end|>", "<|im_end|>", "\uff1c|im_end|> <|im_end|>"):
        ids = tokens_of(frontend, [{"role": "user", "content": text}])
        assert len(special_ids(frontend, ids)) == 1


def test_halves_of_characters_are_no_text(frontends: dict[str, Frontend]) -> None:
    """JSON in a string can name them; the tokenizer could not take them."""
    frontend = frontends["turns and tools"]
    call = {"id": "c", "function": {"name": "f", "arguments": '{"x": "\\ud83d<|im_end|>\\ud83d"}'}}
    whole = {"id": "c", "function": {"name": "f", "arguments": '{"x": "\\ud83d\\ude00"}'}}

    for one in (call, whole):
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [one]},
        ]
        assert "\ud83d" not in frontend.tokenizer.decode(tokens_of(frontend, messages))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("plain > text", []),
        ("a<|b|>c<s>", [(1, 6), (7, 10)]),
        ("<|b|>", [(0, 5)]),
        ("<|b", [(0, 3)]),
        ("b|> x", [(0, 3)]),
        ("  > x <  ", [(2, 3), (6, 7)]),
        ("|b|", [(0, 3)]),
        ("b", []),
        ("<<s>", [(1, 4)]),
        ("<s>|b|><", [(0, 3), (7, 8)]),
        ("<|b|>>", [(0, 5)]),
        ("", []),
        ("   ", []),
    ],
)
def test_the_places_in_a_string(text: str, places: list[tuple[int, int]]) -> None:
    """Whole texts, and a beginning or an ending of one where the string ends or begins."""
    assert SpecialTexts(["<|b|>", "<s>", "\n"]).places(text) == places


def test_a_long_text_is_looked_through_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same places, wherever the windows end."""
    texts = SpecialTexts(["<|b|>", "<s>", "<|b|><s>"])
    rng = random.Random(2)
    tried = ["".join(rng.choices(["<|b|>", "<s>", "<", "|b", "x"], k=30)) for _ in range(20)]
    whole = [texts.places(text) for text in tried]

    for window in (1, 2, 3, 7):
        monkeypatch.setattr("raylax.proto.text.quoting.WINDOW", window)
        assert [texts.places(text) for text in tried] == whole
        (given,), marks = texts.quoted(tried[0])
        assert marks is not None and marks.taken_out(given) == (tried[0], tuple(whole[0]))


def test_looking_for_them_is_linear(frontends: dict[str, Frontend]) -> None:
    """A megabyte that nearly is one everywhere, or is one everywhere; with thousands of tokens to
    look for."""
    many = SpecialTexts(f"<|reserved_special_token_{i}|>" for i in range(4000))
    for text in ("<" * (1 << 20), "<|reserved_special_token_399" * (1 << 15)):
        begun = time.process_time()
        assert len(many.places(text)) <= 2
        assert time.process_time() - begun < 2

    tokenizer = frontends["turns and tools"].tokenizer
    begun = time.process_time()
    (given,), marks = tokenizer.special_texts.quoted("<|im_end|>" * 100_000)
    assert marks is not None
    ids = tokenizer.encode_prompt(marks.taken_out(given))
    assert len(ids) >= 100_000 and set(ids).isdisjoint({453})
    assert time.process_time() - begun < 5


def test_values_that_are_nested_too_deep_are_refused(frontends: dict[str, Frontend]) -> None:
    """Arguments of a call may be, since they are JSON in a text."""
    arguments = '{"x":' * 900 + '"<|im_end|>"' + "}" * 900
    call = {"id": "c", "function": {"name": "f", "arguments": arguments}}

    with pytest.raises(InvalidRequest, match="nested"):
        tokens_of(frontends["in parts"], [{"role": "assistant", "tool_calls": [call]}])


def test_what_is_special_to_the_model_itself_is_cut(frontends: dict[str, Frontend]) -> None:
    """The vocabulary of a unigram model has control tokens as words, of high score."""
    tokenizer: OurTokenizer = frontends["no system"].tokenizer
    text = "a </turn> b</turn>"
    quoted = Prompt(text, ((2, 9),))

    ids = tokenizer.encode_prompt(quoted)
    assert ids.count(tokenizer.id_of("</turn>") or 0) == 1
    assert tokenizer.decode(ids, False) == text


BEGIN, END = "\ue000", "\ue001"


@pytest.mark.parametrize(
    ("rendered", "prompt"),
    [
        (f"a{BEGIN}<s>{END}b", Prompt("a<s>b", ((1, 4),))),
        (f"{BEGIN}<s>{END}{BEGIN}<s>{END}", Prompt("<s><s>", ((0, 3), (3, 6)))),
        (f"{BEGIN}a<s>{END}", Prompt("a<s>")),
        (f"{END}<s>{END}", Prompt("<s>")),
        (f"{BEGIN}<s>{BEGIN}<s>{END}", Prompt("<s><s>", ((3, 6),))),
        (f"{BEGIN}<s>", Prompt("<s>")),
        (r"\ue000<s>\ue001", Prompt("<s>", ((0, 3),))),
    ],
)
def test_only_what_was_marked_is_quoted(rendered: str, prompt: Prompt) -> None:
    """What a template has put between marks, or left of a pair, is its own: its control tokens
    are meant. In JSON marks may be escaped."""
    assert Marks(BEGIN, END, frozenset({"<s>"})).taken_out(rendered) == prompt


@pytest.mark.parametrize("text", [f"{BEGIN} <s>", f"<s> {END}", r"\ue000 <s>", r"<s>\ue001\ue002"])
def test_marks_are_letters_that_nobody_has(text: str) -> None:
    """Neither a client, as they are or escaped, nor a template."""
    (given,), marks = SpecialTexts(["<s>"]).quoted(text, avoid="\ue003\ue004")

    assert marks is not None and marks.taken_out(given).text == text
    assert not {marks.open, marks.close} & {*text, "\ue003", "\ue004"}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_json_spells_otherwise_is_quoted_there(ascii_only: bool) -> None:
    """A text with quotes, or with letters beyond ASCII: what comes beside it could complete it."""
    for token in ('"<x>', "<\u00fc>", "<\n>"):
        (given,), marks = SpecialTexts([token]).quoted(f"a{token}")
        assert marks is not None
        written = json.dumps(given, ensure_ascii=ascii_only)
        prompt = marks.taken_out(written)
        (span,) = prompt.quoted
        assert json.loads(f'"{prompt.text[slice(*span)]}"') == token
