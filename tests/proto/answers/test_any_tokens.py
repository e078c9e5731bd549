"""Whatever tokens a model says, its answer can be written: in every API, streamed as well as whole.

Nothing that a model says is an error of ours.
"""

import json
import math
import random
from typing import Any

import pytest

from raylax.proto import grpc_api
from raylax.proto.answers.anthropic_message import MessageWriter
from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_chunks import DONE
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.answers.openai_response import ResponseWriter
from raylax.proto.answers.writer import AnswerEvent
from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.pb import raylax_pb2 as pb
from raylax.proto.text.files import TextFiles
from raylax.proto.text.tokenizer import byte_letters
from raylax.proto.vocabulary import Delta, Finish, TokenLogprobs
from tests.support.checkpoints import write_checkpoint

TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
OPEN, CLOSE, CALLED = "<tool_call>", "</tool_call>", '{"name": "f", "arguments": '
PIECES = (
    OPEN, CLOSE, CALLED, "}", '"', "\\", "\\ud800", "{",
    '{"x": ', "[" * 300, "NaN", "1e999", "9" * 5000, "null", "\n", "\0", "\x7f", "\u2028", "a", " ",
)  # fmt: skip
FIRST = 99
"""The token of the first piece; others follow."""
BYTES = (0x80, 0xC3, 0xE4, 0xF0, 0xFF, 0x00)


@pytest.fixture(scope="module")
def frontend(tmp_path_factory: pytest.TempPathFactory) -> Frontend:
    """Its vocabulary has the pieces, and bytes that are no character by themselves."""
    path = write_checkpoint(tmp_path_factory.mktemp("odd"), vocab_size=200)
    file = path / "tokenizer.json"
    made = json.loads(file.read_text())
    letters = dict(byte_letters())
    vocab = made["model"]["vocab"]
    for at, piece in enumerate([*map(str.encode, PIECES), *(bytes([byte]) for byte in BYTES)]):
        vocab.setdefault("".join(letters[byte] for byte in piece), FIRST + at)
    file.write_text(json.dumps(made))
    settings = json.loads((path / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{{ tools }}" + settings["chat_template"]
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return Frontend.load(TextFiles(path), "odd", 1 << 16, random.Random(1))


def token_of(piece: str) -> int:
    """A letter has been a token before."""
    return (
        ord(piece) - 32 if "!" <= piece <= "~" and len(piece) == 1 else FIRST + PIECES.index(piece)
    )


def chat_of(frontend: Frontend, **more: Any) -> Call:
    fields = {"messages": [{"role": "user", "content": "hi"}], "tools": [TOOL], **more}
    return frontend.chat(ChatCompletionRequest.model_validate(fields))


def deltas_of(rng: random.Random, request_id: str, logprobs: bool) -> list[Delta]:
    """Random tokens, some of which stand for nothing, in random cuts."""
    ids = [rng.randrange(130) for _ in range(rng.randrange(60))]
    for _ in range(rng.randrange(4)):  # calls, which random tokens seldom are
        inside = [token_of(rng.choice(PIECES[4:16])) for _ in range(rng.randrange(4))]
        value = [*map(token_of, ('{"x": ', '"')), *inside, *map(token_of, ('"', "}"))]
        ids += [*map(token_of, (OPEN, CALLED)), *value, *map(token_of, ("}", CLOSE))]
    deltas = []
    while ids:
        size = rng.randrange(1, 6)
        part, ids = ids[:size], ids[size:]
        odd = rng.choice([-0.5, -math.inf, math.nan])
        top = tuple((rng.randrange(130), odd) for _ in range(3))
        entries = tuple(TokenLogprobs(odd, top) for _ in part) if logprobs else ()
        deltas.append(Delta(request_id, tuple(part), entries))
    return [*deltas, Delta(request_id, finish=rng.choice([Finish.STOP, Finish.LENGTH]))]


def fed(call: Call, deltas: list[Delta]) -> list[TextEvent]:
    return [e for delta in deltas if not call.done and (e := call.feed(delta).event)]


def strict(text: bytes) -> Any:
    def refused(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text.decode("utf-8"), parse_constant=refused)


def read(events: list[AnswerEvent]) -> list[Any]:
    return [strict(body) for event in events if event != DONE for body in (event[1],)]


@pytest.mark.parametrize("seed", range(60))
def test_a_chat_can_be_written(frontend: Frontend, seed: int) -> None:
    rng = random.Random(seed)
    call = chat_of(frontend, logprobs=True, top_logprobs=3, stop=["9\\", "aa"])
    writer = ChatWriter(call, "odd", 1)
    events = fed(call, deltas_of(rng, call.requests[0].id, logprobs=True))
    chunks = read([one for event in events for one in writer.add(event)])
    assert writer.whole() == writer.response().model_dump_json().encode()
    (choice,) = strict(writer.whole())["choices"]
    message, seen = choice["message"], [chunk["choices"][0] for chunk in chunks]

    told = calls_told([c for one in seen for c in one["delta"].get("tool_calls") or ()])
    whole = [
        (c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or ()
    ]
    cut = [one for one in whole if not is_json(one[1])]
    calls = [one for one in told if is_json(one[1])]
    assert [*calls, *cut] == whole
    assert not cut or (cut == told[-1:] and choice["finish_reason"] == "length")
    heard = "".join(one["delta"].get("content") or "" for one in seen)
    if len(whole) == len(told):  # what broke is text in the whole answer
        assert heard == (message["content"] or "")
    assert len(heard) <= len(message["content"] or "")
    assert all(isinstance(strict(arguments.encode()), dict) for _, arguments in calls)
    for event in events:
        pb.ChatReply.FromString(grpc_api.chat_reply(call.id, "odd", event).SerializeToString())


def calls_told(deltas: list[Any]) -> list[tuple[str, str]]:
    """Name and arguments of each call, of its deltas put together. Only the first has a name."""
    calls: dict[int, tuple[str, list[str]]] = {}
    for one in deltas:
        assert ("name" in one["function"]) == ("id" in one) == (one["index"] not in calls)
        calls.setdefault(one["index"], (one["function"].get("name", ""), []))
        calls[one["index"]][1].append(one["function"]["arguments"])
    return [(name, "".join(parts)) for name, parts in calls.values()]


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def in_order(parts: list[Any]) -> list[tuple[str, str]]:
    """What the blocks or items say and call, one after another."""
    said = []
    for part in parts:
        for block in part.get("content") or [part]:
            value = block.get("text", block.get("arguments"))
            written = json.dumps(block.get("input"), ensure_ascii=False)
            said.append((block.get("name", "text"), written if value is None else value))
    return said


def streamed(events: list[AnswerEvent]) -> list[tuple[str, str]]:
    """The same of a stream: its deltas put together."""
    blocks: dict[int, tuple[str, list[str]]] = {}
    for type, body in events:
        told = strict(body)
        at = told.get("index", told.get("output_index"))
        if type in ("content_block_start", "response.output_item.added"):
            block = told.get("content_block") or told["item"]
            blocks[at] = block.get("name", "text"), []
        elif type == "content_block_delta":
            delta = told["delta"]
            blocks[at][1].append(delta.get("text", delta.get("partial_json")))
        elif type.endswith(".delta"):
            blocks[at][1].append(told["delta"])
    return [(name, "".join(parts)) for name, parts in blocks.values()]


def calls_in(said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that did not break."""
    return [one for one in said if one[0] != "text" and is_json(one[1])]


@pytest.mark.parametrize("seed", range(20))
def test_other_apis_can_write_it(frontend: Frontend, seed: int) -> None:
    """The same tokens, in one cut or another, streamed or whole, are the same answer: text and
    calls in the order in which they were said."""
    wholes = []
    for cut in range(2):
        rng = random.Random(seed)
        call = chat_of(frontend)
        (request,) = call.requests
        deltas = deltas_of(rng, request.id, logprobs=False)
        deltas[-1] = Delta(request.id, finish=Finish.STOP)  # for cut ones see test_cut_calls.py
        if cut:
            ids = tuple(token for delta in deltas for token in delta.token_ids)
            deltas = [Delta(request.id, ids), deltas[-1]]
        events = fed(call, deltas)
        told: list[list[tuple[str, str]]] = []
        message = MessageWriter(call, "odd")
        response = ResponseWriter(call, ResponsesRequest(input="hi"), "odd", 1)
        for writer in (message, response):
            said = [*writer.begin(), *(one for event in events for one in writer.add(event))]
            assert read([*said, *writer.end()])
            told.append(streamed(said))
        again = ResponseWriter(call, ResponsesRequest(input="hi"), "odd", 1)
        whole = strict(message.whole())["content"], strict(again.whole())["output"]
        wholes.append([in_order(part) for part in whole])
        if all(is_json(value) for part in told for name, value in part if name != "text"):
            assert told == wholes[-1]
        assert calls_in(told[0]) == calls_in(told[1]) == calls_in(wholes[-1][0])

    assert wholes[0] == wholes[1]


@pytest.mark.parametrize("seed", range(20))
def test_a_completion_can_be_written(frontend: Frontend, seed: int) -> None:
    """Of the likeliest tokens none is lost, though several look the same."""
    call = frontend.completion(CompletionRequest(prompt="hi", logprobs=5))
    writer = CompletionWriter(call, "odd", 1)
    (request,) = call.requests
    deltas = deltas_of(random.Random(seed), request.id, logprobs=True)
    same = tuple((token, -1.0) for token in range(120, 125))
    deltas.insert(0, Delta(request.id, (65,), (TokenLogprobs(-0.5, same),)))
    events = fed(call, deltas)
    chunks = read([one for event in events for one in writer.add(event)])
    assert writer.whole() == writer.response().model_dump_json().encode()
    (choice,) = strict(writer.whole())["choices"]

    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == choice["text"]
    assert len(choice["logprobs"]["top_logprobs"][0]) == len(same)
    for event in events:
        grpc_api.generate_reply(call.id, "odd", event).SerializeToString()
